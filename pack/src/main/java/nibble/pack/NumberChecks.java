package nibble.pack;

import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.function.Consumer;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.DType;
import nibble.convert.Finding;
import nibble.convert.LinearModule;
import nibble.convert.LlamaConfig;
import nibble.convert.TensorView;

/** Checks of the numbers themselves: finite, scales above zero, zero points where the format has them. */
final class NumberChecks {
    private static final ValueLayout.OfShort SHORT = JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /**
     * Weights of a trained linear average to about zero in every group; reading zero points that are stored less one, as
     * GPTQ's first format does, moves all of them by one scale, about 0.37 standard deviations at 4 bits and 128 to a group.
     */
    private static final double MOST_MEAN_SHIFT = 0.2;

    private NumberChecks() {}

    static void run(Checkpoint checkpoint, Consumer<Finding> findings) {
        for (String name : checkpoint.names()) {
            TensorView tensor = checkpoint.tensor(name);
            if (!tensor.dtype().isWeight()) {
                continue;
            }
            Path file = checkpoint.fileOf(name);
            boolean scales = name.endsWith(".scales");
            try {
                WeightReader.requireFinite(tensor, file);
                if (scales && tensor.dtype() == DType.F16) {
                    aboveZero(tensor, file, findings);
                }
            } catch (BadCheckpointException e) {
                findings.accept(Finding.of(scales ? "scales" : "numbers", e));
            }
        }
        LlamaConfig config = checkpoint.config();
        if (config.quantization().isPresent()) {
            int middle = config.layers() / 2;
            for (LinearModule module : config.modules()) {
                zeros(AwqLayout.read(checkpoint, module, middle).unpack(), checkpoint, module.name(middle), findings);
            }
        }
    }

    private static void aboveZero(TensorView scales, Path file, Consumer<Finding> findings) {
        MemorySegment data = scales.data();
        long columns = scales.shape().dim(scales.shape().rank() - 1);
        long zero = 0;
        for (long i = 0; i < scales.shape().elements(); i++) {
            short bits = data.get(SHORT, 2 * i);
            if (bits < 0 && bits != (short) 0x8000) {
                findings.accept(Finding.error(
                        "scales", file + ": tensor " + scales.name() + " element [" + i / columns + ", " + i % columns + "] is "
                                + Float.float16ToFloat(bits) + ", scales are above 0; quantize again"));
                return;
            }
            zero += (bits & 0x7fff) == 0 ? 1 : 0;
        }
        if (zero > 0) {
            findings.accept(Finding.warning(
                    "scales", file + ": tensor " + scales.name() + " has " + zero + " scales of 0, whose groups' weights all read"
                            + " as 0; check that the original weights are 0 there"));
        }
    }

    /** Compares the mean of each group with the spread of its weights. */
    private static void zeros(QuantizedLinear linear, Checkpoint checkpoint, String module, Consumer<Finding> findings) {
        float[] row = new float[linear.inFeatures()];
        double shift = 0;
        long groups = 0;
        for (int r = 0; r < linear.outFeatures(); r++) {
            linear.dequantize(r, row, 0);
            for (int start = 0; start < row.length; start += linear.groupSize()) {
                double sum = 0;
                double squares = 0;
                for (int c = start; c < start + linear.groupSize(); c++) {
                    sum += row[c];
                    squares += row[c] * row[c];
                }
                double mean = sum / linear.groupSize();
                double variance = squares / linear.groupSize() - mean * mean;
                if (variance > 0) {
                    shift += mean / Math.sqrt(variance);
                    groups++;
                }
            }
        }
        double average = groups == 0 ? 0 : shift / groups;
        if (Math.abs(average) > MOST_MEAN_SHIFT) {
            findings.accept(Finding.error(
                    "zeros",
                    String.format(
                            java.util.Locale.ROOT,
                            "%s: the weights of %s average to %+.2f standard deviations over %,d groups, trained ones to"
                                    + " about 0; zero points are probably stored by another convention (GPTQ stores them less"
                                    + " one): quantize again or convert with the right format",
                            checkpoint.fileOf(module + ".qzeros"),
                            module,
                            average,
                            groups)));
        }
    }
}
