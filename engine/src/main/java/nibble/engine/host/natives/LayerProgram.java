package nibble.engine.host.natives;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Objects;
import nibble.engine.backend.Workers;

/**
 * Runs a list of the library's operations for one token, a decoder layer or the head, by one call of each thread:
 * program.h. Steps come in order; products and attention are shared among the threads, and the others are the leading
 * thread's. Activations lie outside of the Java heap, in memory of an arena that outlives the program.
 */
public final class LayerProgram {
    private static final NativeFunction READY = NativeFunction.of("program_ready");
    private static final NativeFunction RUN = NativeFunction.of("program_run");

    /** Longs of a step, where its numbers and its addresses begin, as in program.h. */
    private static final int STEP = 32;

    private static final int NUMBERS = 6;
    private static final int ADDRESSES = 26;

    /** Longs of memory that one thread changes while others read what lies beside. */
    private static final int APART = 16;

    /** The phase of steps that threads do not share. */
    static final long NO_PHASE = -1;

    /** The kinds of steps, as program.h numbers them. */
    enum Kind {
        NORM,
        PREPARE,
        ADD,
        GATE,
        TURN,
        KEEP,
        ROWS,
        CODES,
        PARTS,
        SUM,
        ATTEND
    }

    private final Workers workers;
    private final MemorySegment program;
    private final MemorySegment steps;
    private final int keyColumns;
    private final List<Integer> turns;
    private final Workers.Run role = this::runAs;

    private long position;
    private float[] keys = {};
    private float[] values = {};

    LayerProgram(LayerSteps from) {
        Arena arena = from.room.arena;
        long threads = from.room.workers.threads();
        this.workers = from.room.workers;
        this.turns = List.copyOf(from.turns);
        this.keyColumns = from.keyColumns;
        // The one behind the last belongs to no phase.
        this.steps = arena.allocate(8L * STEP * (from.steps.size() + 1), 128);
        steps.set(ValueLayout.JAVA_LONG, 8L * (STEP * from.steps.size() + 1), NO_PHASE);
        for (int i = 0; i < from.steps.size(); i++) {
            MemorySegment.copy(from.steps.get(i), 0, steps, ValueLayout.JAVA_LONG, 8L * STEP * i, STEP);
        }
        MemorySegment open = arena.allocate(8L * APART * (1 + from.phases * (1 + threads)), 128);
        this.program = arena.allocate(8L * 5, 8);
        long[] header = {from.steps.size(), from.phases, threads, steps.address(), open.address()};
        MemorySegment.copy(header, 0, program, ValueLayout.JAVA_LONG, 0, header.length);
    }

    static long[] step(Kind kind, long phase, long[] numbers, MemorySegment... addresses) {
        long[] step = new long[STEP];
        step[0] = kind.ordinal();
        step[1] = phase;
        System.arraycopy(numbers, 0, step, NUMBERS, numbers.length);
        for (int i = 0; i < addresses.length; i++) {
            step[ADDRESSES + i] = addresses[i].address();
        }
        return step;
    }

    /** Lets queries and keys turn by other tables from here on, {@code [positions, half]} each. */
    public void setAngles(MemorySegment cosines, MemorySegment sines) {
        for (int step : turns) {
            long at = 8L * (STEP * step + ADDRESSES);
            steps.set(ValueLayout.JAVA_LONG, at, cosines.address());
            steps.set(ValueLayout.JAVA_LONG, at + 8, sines.address());
        }
    }

    /**
     * Runs the steps for a token.
     *
     * @param at the token's position, which its tables of angles and the room for scores have
     * @param keyRows the layer's keys up to this position, and room for the token's own; empty where there is no
     *     attention
     * @param valueRows the same of values
     * @throws InternalError if a mapped file was cut short
     */
    public void run(int at, float[] keyRows, float[] valueRows) {
        if (keyColumns > 0) {
            Objects.checkFromIndexSize((long) at * keyColumns, keyColumns, Math.min(keyRows.length, valueRows.length));
        }
        position = at;
        keys = keyRows;
        values = valueRows;
        long faults = Guard.faults();
        READY.call(new long[] {program.address()});
        workers.forEachRun(workers.threads(), role);
        Guard.requireNone(faults);
    }

    private void runAs(int from, int to) {
        for (int thread = from; thread < to; thread++) {
            RUN.call(
                    new long[] {program.address(), thread, position},
                    MemorySegment.ofArray(keys),
                    MemorySegment.ofArray(values));
        }
    }
}
