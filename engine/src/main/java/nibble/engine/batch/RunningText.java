package nibble.engine.batch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import nibble.engine.Sampler;

/** Holds one text of a batch: its ids, its blocks, and how far it is computed. Used by the scheduler's thread. */
final class RunningText implements Generation {
    private static final int BLOCK = BatchOptions.BLOCK_TOKENS;

    final GenerationRequest request;
    final GenerationListener listener;
    final Sampler sampler;
    final List<ScoredToken> promptScores = new ArrayList<>();
    private final Runnable wake;
    private int[] ids;
    private int length;
    private int computed;
    private int[] blocks = new int[8];
    private int blockCount;
    /** Full blocks that are registered, and the number of the last of them. */
    private int registeredBlocks;

    private long lastRegistered = BlockPool.BEGINNING;
    private volatile int cachedPromptTokens;
    private volatile boolean cancelled;

    /** @param wake called after {@link #cancel()} */
    RunningText(GenerationRequest request, GenerationListener listener, Runnable wake) {
        this.request = request;
        this.listener = listener;
        this.wake = wake;
        this.sampler = new Sampler(request.sampling());
        this.ids = request.prompt().clone();
        this.length = ids.length;
        sampler.observe(ids);
        for (int i = 0; i < request.scoredFrom(); i++) {
            promptScores.add(ScoredToken.unscored(ids[i]));
        }
    }

    @Override
    public void cancel() {
        cancelled = true;
        wake.run();
    }

    @Override
    public int cachedPromptTokens() {
        return cachedPromptTokens;
    }

    boolean cancelled() {
        return cancelled;
    }

    int length() {
        return length;
    }

    int computed() {
        return computed;
    }

    /** Returns the ids that the model has not seen yet. */
    int pending() {
        return length - computed;
    }

    int generated() {
        return length - request.prompt().length;
    }

    int id(int position) {
        return ids[position];
    }

    int[] ids(int from, int count) {
        return Arrays.copyOfRange(ids, from, from + count);
    }

    int[] blocks() {
        return Arrays.copyOf(blocks, blockCount);
    }

    private void add(int block) {
        if (blockCount == blocks.length) {
            blocks = Arrays.copyOf(blocks, 2 * blockCount);
        }
        blocks[blockCount++] = block;
    }

    void append(int id) {
        if (length == ids.length) {
            ids = Arrays.copyOf(ids, 2 * length);
        }
        ids[length++] = id;
    }

    /**
     * Takes the blocks of its beginning that the pool has. At least one id stays to be computed, since its logits are
     * needed; a prompt that is to be scored needs those from the id before its first without a score.
     */
    void begin(BlockPool pool) {
        int needed = length - 1;
        if (request.scorePrompt() && promptScores.size() < request.prompt().length) {
            needed = promptScores.size() - 1;
        }
        while ((registeredBlocks + 1) * BLOCK <= needed) {
            int block = pool.find(lastRegistered, content(registeredBlocks));
            if (block < 0) {
                break;
            }
            add(block);
            lastRegistered = pool.number(block);
            registeredBlocks++;
        }
        computed = registeredBlocks * BLOCK;
        if (generated() == 0) {
            cachedPromptTokens = computed;
        }
    }

    /** Takes blocks for {@code count} more ids; false if the pool has too few, and then takes none. */
    boolean reserve(BlockPool pool, int count) {
        int needed = Math.ceilDiv(computed + count, BLOCK) - blockCount;
        if (needed > pool.free()) {
            return false;
        }
        for (int i = 0; i < needed; i++) {
            add(pool.take());
        }
        return true;
    }

    /** Counts ids as computed and registers the blocks that they fill. */
    void advance(BlockPool pool, int count) {
        computed += count;
        while ((registeredBlocks + 1) * BLOCK <= computed) {
            lastRegistered = pool.register(blocks[registeredBlocks], lastRegistered, content(registeredBlocks));
            registeredBlocks++;
        }
    }

    /** Gives all blocks back; the ids stay, and are computed again. */
    void release(BlockPool pool) {
        for (int i = 0; i < blockCount; i++) {
            pool.release(blocks[i]);
        }
        blockCount = 0;
        computed = 0;
        registeredBlocks = 0;
        lastRegistered = BlockPool.BEGINNING;
    }

    private List<Integer> content(int block) {
        return IntStream.range(block * BLOCK, (block + 1) * BLOCK)
                .mapToObj(i -> ids[i])
                .toList();
    }
}
