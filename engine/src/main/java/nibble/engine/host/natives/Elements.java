package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunction.floats;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import nibble.checkpoint.model.layer.Activation;

/**
 * Calls the library's operations between products: norms, rope, gates and sums. Each gives the bits that the Vector API
 * gives on the same processor, but for the last few of a run whose length is no multiple of the vectors'.
 *
 * <p>They exist for the first tokens of a process. Until the compiler has come to it, a loop of the Vector API takes
 * hundreds of times its later time.
 */
public final class Elements {
    private static final NativeFunction NORM = NativeFunction.of("norm");
    private static final NativeFunction TURN = NativeFunction.of("turn");
    private static final NativeFunction GATE = NativeFunction.of("gate");
    private static final NativeFunction ADD = NativeFunction.of("add");
    private static final NativeFunction SUM = NativeFunction.of("sum");

    private final long set;

    Elements(int set) {
        this.set = set;
    }

    /**
     * Computes {@code out = x / sqrt(mean(x²) + epsilon) * weight} of rows.
     *
     * @param first element of the first row, in {@code x} and {@code out}
     * @param weight of which each row has one for each element
     */
    public void norm(float[] x, int first, int rows, float[] weight, double epsilon, float[] out) {
        int count = Math.multiplyExact(rows, weight.length);
        Objects.checkFromIndexSize(first, count, Math.min(x.length, out.length));
        NORM.call(
                new long[] {set, rows, weight.length, Double.doubleToRawLongBits(epsilon)},
                floats(x, first),
                MemorySegment.ofArray(weight),
                floats(out, first));
    }

    /**
     * Turns element i of each head of a row with element i + half.
     *
     * @param first element of the row, whose {@code columns} are heads of {@code headDim}
     * @param angle where the position's {@code half} cosines and sines begin
     */
    public void turn(float[] x, int first, int columns, int headDim, int half, float[] cos, float[] sin, int angle) {
        Objects.checkFromIndexSize(first, columns, x.length);
        Objects.checkFromIndexSize(angle, half, Math.min(cos.length, sin.length));
        if (headDim < 1 || columns % headDim != 0 || half < 0 || 2L * half > headDim) {
            throw new IllegalArgumentException(columns + " columns, heads of " + headDim + " that turn " + half);
        }
        TURN.call(new long[] {set, columns, headDim, half}, floats(cos, angle), floats(sin, angle), floats(x, first));
    }

    /** Computes elements {@code from} to {@code end - 1} of {@code out = f(gate, up)}. */
    public void gate(Activation activation, float[] gate, float[] up, float[] out, int from, int end) {
        Objects.checkFromToIndex(from, end, Math.min(Math.min(gate.length, up.length), out.length));
        GATE.call(
                new long[] {set, number(activation), from, end},
                MemorySegment.ofArray(gate),
                MemorySegment.ofArray(up),
                MemorySegment.ofArray(out));
    }

    /** Returns the number of a gate in elements.h. */
    static long number(Activation activation) {
        return switch (activation) {
            case SILU -> 0;
            case GELU_TANH -> 1;
            case CLAMPED_SWIGLU -> 2;
        };
    }

    /** Adds {@code n} elements of {@code x} to those of {@code into}. */
    public void add(float[] x, int first, float[] into, int at, int n) {
        Objects.checkFromIndexSize(first, n, x.length);
        Objects.checkFromIndexSize(at, n, into.length);
        ADD.call(new long[] {set, n}, floats(x, first), floats(into, at));
    }

    /**
     * Sums parts of outputs in their order.
     *
     * @param sums [parts, apart] floats
     * @param from output of a part that the first sum is of
     * @param at where {@code n} sums go
     */
    public void sum(MemorySegment sums, int parts, long apart, long from, float[] out, int at, int n) {
        Objects.checkFromIndexSize(at, n, out.length);
        Objects.checkFromIndexSize(from, n, apart);
        Objects.checkFromIndexSize(0, 4L * Math.multiplyExact(parts, apart), sums.byteSize());
        SUM.call(new long[] {set, parts, apart, n}, sums.asSlice(4L * from), floats(out, at));
    }
}
