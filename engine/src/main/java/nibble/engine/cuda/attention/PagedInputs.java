package nibble.engine.cuda.attention;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.BatchDecoder;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.PinnedMemory;

/**
 * Holds what a step of next tokens reads, at addresses that stay: ids, positions, what is wanted of logits, tables of
 * blocks, and how each row's keys are shared out over blocks of {@code paged_attention.cu}. Owns its buffers.
 */
public final class PagedInputs implements AutoCloseable {
    /** Most parts of a row's keys. */
    public static final int MOST_ITEMS = 16;
    /** Keys of a part, at least: a part has its beginning and end, so many short ones take longer than few. */
    private static final int LEAST_KEYS = 512;

    private static final int HEAD_INTS = 4;
    private static final int ITEM_INTS = 4;

    private final CudaResources card;
    private final int rows;
    private final int tableColumns;
    private final int round;
    /** What is copied to {@link #pinned} at once: one by one that would take as long as the rest of the host's work. */
    private final int[] numbers;

    private final PinnedMemory pinned;
    private final DeviceMemory.Buffer buffer;
    private int items;
    private int columns;

    /**
     * Allocates room.
     *
     * @param tableColumns most blocks of a row
     * @param round keys that the warps of a block take in a turn
     */
    public PagedInputs(CudaResources card, int rows, int tableColumns, int round) {
        this.card = card;
        this.rows = rows;
        this.tableColumns = tableColumns;
        this.round = round;
        int bytes =
                Math.multiplyExact(Integer.BYTES, Math.addExact(tableInt(), Math.multiplyExact(rows, tableColumns)));
        this.numbers = new int[bytes / Integer.BYTES];
        this.pinned = new PinnedMemory(bytes);
        try {
            this.buffer = card.memory().allocate(bytes, "the inputs of a step");
        } catch (RuntimeException e) {
            pinned.close();
            throw e;
        }
    }

    private int tableInt() {
        return HEAD_INTS + 4 * rows + ITEM_INTS * MOST_ITEMS * rows;
    }

    /**
     * Begins a step, with no row that attends to keys: ids are 0 then.
     *
     * @param columns blocks of the row that has most
     */
    public void begin(int columns) {
        if (columns > tableColumns) {
            throw new IllegalArgumentException(columns + " blocks of a sequence, room for " + tableColumns);
        }
        this.columns = columns;
        this.items = 0;
        Arrays.fill(numbers, 0, HEAD_INTS + 4 * rows, 0);
    }

    /** Sets id and wish of a row. */
    public void token(int row, int id, BatchDecoder.Wanted wanted) {
        set(HEAD_INTS + row, id);
        wanted(row, wanted);
    }

    /** Sets what is wanted of a row's logits. */
    public void wanted(int row, BatchDecoder.Wanted wanted) {
        float perDegree = wanted.temperature() == 0 ? 1 : (float) (1 / wanted.temperature());
        set(HEAD_INTS + rows + row, Float.floatToRawIntBits(perDegree));
        set(HEAD_INTS + 2 * rows + row, wanted.asked());
    }

    /** Sets where a row's keys lie, up to and including its own position. */
    public void keys(int row, int position, int[] blocks, AttentionShape shape) {
        set(HEAD_INTS + 3 * rows + row, position);
        System.arraycopy(blocks, 0, numbers, tableInt() + row * columns, Math.min(blocks.length, columns));
        // From a whole block on; the kernel hides keys before the window.
        int begin = shape.firstSeen(position) / PagedAttention.BLOCK_TOKENS * PagedAttention.BLOCK_TOKENS;
        int keys = position + 1 - begin;
        int parts = Math.clamp(keys / LEAST_KEYS, 1, MOST_ITEMS);
        int share = Math.ceilDiv(Math.ceilDiv(keys, parts), round) * round;
        int count = Math.ceilDiv(keys, share);
        for (int part = 0; part < count; part++) {
            int from = begin + part * share;
            int[] item = {row, from, Math.min(from + share, position + 1), part | count << 16};
            for (int i = 0; i < ITEM_INTS; i++) {
                set(HEAD_INTS + 4 * rows + ITEM_INTS * items + i, item[i]);
            }
            items++;
        }
    }

    private void set(int index, int value) {
        numbers[index] = value;
    }

    /** Puts the copy to the card into the stream; the host may write again once the stream is done. */
    public void upload() {
        set(0, items);
        set(1, columns);
        int count = tableInt() + rows * columns;
        MemorySegment.copy(numbers, 0, pinned.segment(), ValueLayout.JAVA_INT, 0, count);
        pinned.toDevice(buffer, 0, (long) Integer.BYTES * count, card.stream());
    }

    public long head() {
        return buffer.address();
    }

    public long ids() {
        return at(HEAD_INTS);
    }

    public long perDegree() {
        return at(HEAD_INTS + rows);
    }

    public long asked() {
        return at(HEAD_INTS + 2 * rows);
    }

    public long positions() {
        return at(HEAD_INTS + 3 * rows);
    }

    public long items() {
        return at(HEAD_INTS + 4 * rows);
    }

    public long table() {
        return at(tableInt());
    }

    private long at(int index) {
        return buffer.address() + 4L * index;
    }

    @Override
    public void close() {
        card.stream().synchronize();
        buffer.close();
        pinned.close();
    }
}
