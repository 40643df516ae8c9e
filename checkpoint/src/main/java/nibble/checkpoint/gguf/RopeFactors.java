package nibble.checkpoint.gguf;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;

/**
 * Computes Llama 3.1's long-context scaling in GGUF: not its four parameters, but what they make of each frequency, as
 * a divisor.
 *
 * <p>With λ the wavelength of a frequency, {@code s = (original/λ − low) / (high − low)} is 0 or less for long waves,
 * which are divided by the factor F, 1 or more for short ones, which are kept, and between them the divisor is
 * {@code 1 / ((1−s)/F + s)}. The three parameters in s are two in truth, since low, high and original may all be
 * multiplied by one number: low is taken to be 1, as in every published model, and the rest follows from the divisors.
 * They are accepted only if they make the same divisors again.
 */
public final class RopeFactors {
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Llama 3.1 and 3.3 have 8, Llama 3.2 has 32; asked where no wave is so long that it shows the factor itself. */
    private static final double[] PUBLISHED_FACTORS = {8, 32, 16, 4, 2};

    private static final double PUBLISHED_HIGH = 4;

    /** Of a divisor, relative: a few roundings to fp32. */
    private static final double TOLERANCE = 2e-6;

    private RopeFactors() {}

    /** Returns the divisor of each frequency, headDim / 2 of them, in the fp32 steps of llama.cpp's converter. */
    public static float[] of(Rope.Llama3 scaling, double theta, int headDim) {
        float[] factors = new float[headDim / 2];
        float low = (float) scaling.lowFreqFactor();
        float range = (float) (scaling.highFreqFactor() - scaling.lowFreqFactor());
        float original = scaling.originalMaxPositions();
        float longest = (float) (scaling.originalMaxPositions() / scaling.lowFreqFactor());
        float shortest = (float) (scaling.originalMaxPositions() / scaling.highFreqFactor());
        for (int i = 0; i < factors.length; i++) {
            float wavelength = wavelength(theta, i, headDim);
            if (wavelength < shortest) {
                factors[i] = 1;
            } else if (wavelength > longest) {
                factors[i] = (float) scaling.factor();
            } else {
                // PyTorch divides a number by a tensor so: by the tensor's reciprocal.
                float smooth = (original * (1 / wavelength) - low) / range;
                factors[i] = 1 / ((1 - smooth) / (float) scaling.factor() + smooth);
            }
        }
        return factors;
    }

    /** Returns divisors that a config gives, as a file holds them. */
    public static float[] of(List<Double> divisors) {
        float[] floats = new float[divisors.size()];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = divisors.get(i).floatValue();
        }
        return floats;
    }

    private static float wavelength(double theta, int pair, int headDim) {
        float frequency = 1f / (float) Math.pow((float) theta, 2f * pair / headDim);
        return (float) (2 * Math.PI) * (1 / frequency);
    }

    /** Whether all divisors are 1, as in old files of models that scale nothing. */
    static boolean areOnes(GgufFile.Tensor tensor) {
        if (tensor.type() != GgufType.F32) {
            return false;
        }
        for (long i = 0; i < tensor.shape().elements(); i++) {
            if (tensor.data().get(FLOAT, 4 * i) != 1) {
                return false;
            }
        }
        return true;
    }

    /** {@code rope_scaling} of config.json. */
    static ObjectNode llama3(Path file, GgufFile.Tensor tensor, double theta, int headDim) {
        if (tensor.type() == GgufType.F32 && tensor.shape().elements() == headDim / 2) {
            float[] divisors = new float[headDim / 2];
            for (int i = 0; i < divisors.length; i++) {
                divisors[i] = tensor.data().get(FLOAT, 4L * i);
            }
            Optional<Rope.Llama3> found = parameters(divisors, theta);
            if (found.isPresent()) {
                return JsonNodeFactory.instance
                        .objectNode()
                        .put("rope_type", "llama3")
                        .put("factor", found.get().factor())
                        .put("low_freq_factor", found.get().lowFreqFactor())
                        .put("high_freq_factor", found.get().highFreqFactor())
                        .put("original_max_position_embeddings", found.get().originalMaxPositions());
            }
        }
        throw new BadCheckpointException(
                file,
                "tensor " + tensor.name() + " scales rope in another way than Llama 3.1 and later do; not supported");
    }

    /** Parameters that make these divisors, if any do. */
    static Optional<Rope.Llama3> parameters(float[] divisors, double theta) {
        int headDim = 2 * divisors.length;
        double largest = 1;
        for (float divisor : divisors) {
            if (!(divisor >= 1) || !Float.isFinite(divisor)) {
                return Optional.empty();
            }
            largest = Math.max(largest, divisor);
        }
        List<Double> factors = new ArrayList<>(List.of(largest));
        for (double published : PUBLISHED_FACTORS) {
            factors.add(published);
        }
        for (double factor : factors) {
            for (Rope.Llama3 candidate : candidates(divisors, theta, factor)) {
                if (candidate.highFreqFactor() > 1 && matches(divisors, of(candidate, theta, headDim))) {
                    return Optional.of(candidate);
                }
            }
        }
        return Optional.empty();
    }

    private static List<Rope.Llama3> candidates(float[] divisors, double theta, double factor) {
        int headDim = 2 * divisors.length;
        List<Rope.Llama3> found = new ArrayList<>(List.of(new Rope.Llama3(factor, 1, PUBLISHED_HIGH, 8192)));
        // s is a line over 1/λ: a = original / (high − low) is its slope, b = low / (high − low) what is taken off.
        List<double[]> between = new ArrayList<>();
        double shortestLong = Double.POSITIVE_INFINITY;
        double longestShort = 0;
        for (int i = 0; i < divisors.length; i++) {
            double wavelength = wavelength(theta, i, headDim);
            if (divisors[i] == 1) {
                longestShort = Math.max(longestShort, wavelength);
            } else if (divisors[i] >= (float) factor) {
                shortestLong = Math.min(shortestLong, wavelength);
            } else {
                between.add(new double[] {1 / wavelength, (1.0 / divisors[i] - 1 / factor) / (1 - 1 / factor)});
            }
        }
        if (between.size() > 1) {
            double[] first = between.getFirst();
            double[] last = between.getLast();
            double slope = (first[1] - last[1]) / (first[0] - last[0]);
            double taken = slope * first[0] - first[1];
            add(found, factor, 1 + 1 / taken, slope / taken);
        }
        for (double[] point : between) {
            add(found, factor, PUBLISHED_HIGH, (point[1] * (PUBLISHED_HIGH - 1) + 1) / point[0]);
        }
        if (between.isEmpty() && Double.isFinite(shortestLong)) {
            // Every length will do that leaves the short waves short and the long ones long.
            double least = longestShort * PUBLISHED_HIGH;
            double power = Math.pow(2, Math.floor(Math.log(shortestLong) / Math.log(2)));
            add(found, factor, PUBLISHED_HIGH, power > least ? power : (least + shortestLong) / 2);
            add(found, factor, 1.0001, (longestShort + shortestLong) / 2);
        }
        return found;
    }

    /** Adds the parameters as whole numbers, which they are as a rule, and with the high factor as found. */
    private static void add(List<Rope.Llama3> found, double factor, double high, double original) {
        if (high > 1 && high < 1e6 && original >= 1 && original < 1 << 28) {
            double near = Math.rint(high * 64) / 64;
            found.add(new Rope.Llama3(factor, 1, near, (int) Math.rint(original)));
            found.add(new Rope.Llama3(factor, 1, high, (int) Math.rint(original)));
        }
    }

    private static boolean matches(float[] divisors, float[] expected) {
        for (int i = 0; i < expected.length; i++) {
            if (!(Math.abs(divisors[i] - expected[i]) <= TOLERANCE * expected[i])) {
                return false;
            }
        }
        return true;
    }
}
