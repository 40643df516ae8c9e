package nibble.convert.gguf;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import nibble.convert.BadCheckpointException;
import nibble.convert.Rope;

/**
 * Llama 3.1's long-context scaling in GGUF: not its four parameters, but what they make of each frequency, as a divisor. The
 * parameters are found by trying the published ones.
 */
public final class RopeFactors {
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Llama 3.1 and 3.3 have 8, Llama 3.2 has 32. */
    private static final double[] PUBLISHED_FACTORS = {8, 32, 16, 4};

    private RopeFactors() {}

    /** The divisor of each frequency, headDim / 2 of them. */
    public static float[] of(Rope.Llama3 scaling, double theta, int headDim) {
        float[] factors = new float[headDim / 2];
        double lowWavelength = scaling.originalMaxPositions() / scaling.lowFreqFactor();
        double highWavelength = scaling.originalMaxPositions() / scaling.highFreqFactor();
        for (int i = 0; i < factors.length; i++) {
            double wavelength = 2 * Math.PI * Math.pow(theta, 2.0 * i / headDim);
            if (wavelength < highWavelength) {
                factors[i] = 1;
            } else if (wavelength > lowWavelength) {
                factors[i] = (float) scaling.factor();
            } else {
                double smooth = (scaling.originalMaxPositions() / wavelength - scaling.lowFreqFactor())
                        / (scaling.highFreqFactor() - scaling.lowFreqFactor());
                factors[i] = (float) (1 / ((1 - smooth) / scaling.factor() + smooth));
            }
        }
        return factors;
    }

    static ObjectNode llama3(Path file, GgufFile.Tensor tensor, double theta, int headDim) {
        if (tensor.type() == GgufType.F32 && tensor.shape().elements() == headDim / 2) {
            for (double factor : PUBLISHED_FACTORS) {
                Rope.Llama3 scaling = new Rope.Llama3(factor, 1, 4, 8192);
                if (matches(tensor, of(scaling, theta, headDim))) {
                    return JsonNodeFactory.instance
                            .objectNode()
                            .put("rope_type", "llama3")
                            .put("factor", factor)
                            .put("low_freq_factor", scaling.lowFreqFactor())
                            .put("high_freq_factor", scaling.highFreqFactor())
                            .put("original_max_position_embeddings", scaling.originalMaxPositions());
                }
            }
        }
        throw new BadCheckpointException(
                file, "tensor " + tensor.name() + " scales rope in another way than Llama 3.1 to 3.3 do; not supported");
    }

    private static boolean matches(GgufFile.Tensor tensor, float[] expected) {
        for (int i = 0; i < expected.length; i++) {
            if (Math.abs(tensor.data().get(FLOAT, 4L * i) - expected[i]) > 1e-3 * expected[i]) {
                return false;
            }
        }
        return true;
    }
}
