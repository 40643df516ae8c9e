package nibble.engine.batch;

import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Counts the references to blocks of the KV cache, and finds full blocks by their ids.
 *
 * <p>A full block is registered under its ids and the block before it, so texts with the same beginning share blocks. A
 * registered block keeps its content after the last text releases it. It is taken for other content when no empty block
 * is left, the one released first before the others.
 */
final class BlockPool {
    /** Stands before the first block of every text. */
    static final long BEGINNING = 0;

    /** @param before number of the registered block before it */
    private record Content(long before, List<Integer> ids) {}

    /** @param number given once, and never again: what follows an evicted block is not found any more */
    private record Registered(int block, long number, Content content) {}

    private final int[] references;
    private final @Nullable Registered[] registered;
    private final Map<Content, Registered> byContent = new HashMap<>();
    private final ArrayDeque<Integer> empty = new ArrayDeque<>();
    private final LinkedHashSet<Integer> released = new LinkedHashSet<>();
    private long lastNumber = BEGINNING;

    BlockPool(int blocks) {
        references = new int[blocks];
        registered = new Registered[blocks];
        for (int block = 0; block < blocks; block++) {
            empty.add(block);
        }
    }

    int blocks() {
        return references.length;
    }

    /** Returns the blocks that texts hold. */
    int used() {
        return references.length - empty.size() - released.size();
    }

    /** Returns the blocks that can be taken. */
    int free() {
        return empty.size() + released.size();
    }

    /** Returns a block without content and with one reference, or -1 if texts hold all of them. */
    int take() {
        Integer block = empty.poll();
        if (block == null) {
            if (released.isEmpty()) {
                return -1;
            }
            block = released.removeFirst();
            Registered old = registered[block];
            registered[block] = null;
            if (old != null) {
                byContent.remove(old.content());
            }
        }
        references[block] = 1;
        return block;
    }

    /** Returns the block with these ids behind block number {@code before}, with one more reference; or -1. */
    int find(long before, List<Integer> ids) {
        Registered found = byContent.get(new Content(before, ids));
        if (found == null) {
            return -1;
        }
        released.remove(found.block());
        references[found.block()]++;
        return found.block();
    }

    /** Returns the number of a registered block. */
    long number(int block) {
        Registered found = registered[block];
        if (found == null) {
            throw new IllegalStateException("block " + block + " is not registered");
        }
        return found.number();
    }

    /**
     * Registers a full block. If another one holds the same, that one stays registered.
     *
     * @return the number of the one registered
     */
    long register(int block, long before, List<Integer> ids) {
        Content content = new Content(before, List.copyOf(ids));
        Registered other = byContent.get(content);
        if (other != null) {
            return other.number();
        }
        Registered entry = new Registered(block, ++lastNumber, content);
        registered[block] = entry;
        byContent.put(content, entry);
        return entry.number();
    }

    /** Empties the blocks that no text holds. */
    void forget() {
        for (int block : released) {
            Registered old = registered[block];
            registered[block] = null;
            if (old != null) {
                byContent.remove(old.content());
            }
            empty.add(block);
        }
        released.clear();
    }

    /** Gives one reference back. */
    void release(int block) {
        if (references[block] < 1) {
            throw new IllegalStateException("block " + block + " is released more often than taken");
        }
        if (--references[block] > 0) {
            return;
        }
        if (registered[block] == null) {
            empty.add(block);
        } else {
            released.add(block);
        }
    }
}
