package nibble.pack;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;

/** Computes a quantized linear as the fp16 weight that loaders in fp16 reconstruct from it. */
public final class Dequantized {
    private Dequantized() {}

    /** Returns F16 [out, in] in memory that is freed once no one refers to it. */
    public static TensorView half(String name, PackedLinear linear) {
        int out = linear.outFeatures();
        int in = linear.inFeatures();
        MemorySegment data = Arena.ofAuto().allocate(Math.multiplyExact(2L * out, (long) in), 64);
        float[] row = new float[in];
        short[] halves = new short[in];
        for (int r = 0; r < out; r++) {
            linear.dequantize(r, row, 0);
            for (int column = 0; column < in; column++) {
                halves[column] = Float.floatToFloat16(row[column]);
            }
            MemorySegment.copy(halves, 0, data, Words.SHORT, 2L * r * in, in);
        }
        return new TensorView(name, DType.F16, Shape.of(out, in), data);
    }
}
