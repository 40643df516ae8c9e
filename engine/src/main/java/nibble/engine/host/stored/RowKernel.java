package nibble.engine.host.stored;

import java.util.stream.IntStream;
import nibble.engine.host.natives.Inputs;

/** A kernel that multiplies one row of activations at a time. */
interface RowKernel extends FewRows {
    /** Returns the form of {@code x[offset ..]} that {@link #run} takes. */
    float[] prepare(float[] x, int offset);

    /** Makes the outputs of a piece; output n goes to {@code out[offset + n]}. */
    void run(int piece, float[] prepared, float[] out, int offset);

    /** Returns the inputs of a row. */
    int inputs();

    @Override
    default Product prepare(Inputs x, int outputs) {
        int rows = x.rows();
        float[][] prepared = IntStream.range(0, rows)
                .mapToObj(row -> prepare(x.values(), row * inputs()))
                .toArray(float[][]::new);
        return (from, to, out) -> {
            for (int piece = from; piece < to; piece++) {
                for (int row = 0; row < rows; row++) {
                    run(piece, prepared[row], out, row * outputs);
                }
            }
        };
    }
}
