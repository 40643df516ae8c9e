package nibble.convert.verify;

import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.pack.PackedLinear;
import nibble.pack.Words;
import nibble.pack.layout.CompressedTensorsLayout;
import nibble.pack.layout.Layout;
import nibble.pack.layout.PackedLinears;

/**
 * Checks of what the words of quantized linears mean together: shapes they state, order of columns, zeros by the
 * config.
 */
final class LayoutChecks {
    /**
     * Weights of a trained linear average to about zero in every group; reading zero points that are stored less one,
     * as GPTQ's first format does, moves all of them by one scale, about 0.37 standard deviations at 4 bits and 128 to
     * a group. At 8 bits it is 0.02, which trained weights may have too.
     */
    private static final double MOST_MEAN_SHIFT = 0.2;

    private final Checkpoint checkpoint;
    private final QuantizationConfig quantization;
    private final Consumer<Finding> findings;

    private LayoutChecks(Checkpoint checkpoint, QuantizationConfig quantization, Consumer<Finding> findings) {
        this.checkpoint = checkpoint;
        this.quantization = quantization;
        this.findings = findings;
    }

    static void run(Checkpoint checkpoint, QuantizationConfig quantization, Consumer<Finding> findings) {
        LayoutChecks checks = new LayoutChecks(checkpoint, quantization, findings);
        ModelConfig config = checkpoint.config();
        int middle = config.layers() / 2;
        for (int layer = 0; layer < config.layers(); layer++) {
            for (LinearModule module : config.modules(layer)) {
                try {
                    Layout.Tensors tensors = Layout.Tensors.of(checkpoint, module, layer);
                    checks.order(tensors);
                    checks.symmetric(tensors);
                    if (layer == middle) {
                        checks.zeros(PackedLinears.read(checkpoint, module, layer), tensors);
                    } else if (tensors.config().format() == QuantizedFormat.COMPRESSED_TENSORS) {
                        CompressedTensorsLayout.requireShape(tensors);
                    }
                } catch (BadCheckpointException e) {
                    findings.accept(Finding.of("tensors", e));
                }
            }
        }
    }

    /** Columns in an order of their own are read by the config's word in some loaders and by the tensor in others. */
    private void order(Layout.Tensors tensors) {
        QuantizedFormat format = quantization.format();
        if (format == QuantizedFormat.AWQ_GEMM) {
            return;
        }
        String name = tensors.name(Role.GROUPS);
        if (!tensors.has(Role.GROUPS)) {
            if (quantization.ordersColumns()) {
                findings.accept(Finding.error(
                        "order",
                        checkpoint.folder() + ": " + name + " is missing although config.json says that columns are in"
                                + " order of activation; get the whole checkpoint again"));
            }
            return;
        }
        MemorySegment groups = tensors.data(Role.GROUPS);
        int count = tensors.spec().groups(tensors.inFeatures());
        int size = tensors.spec().columnsPerGroup(tensors.inFeatures());
        boolean plain = true;
        boolean none = true;
        for (int column = 0; column < tensors.inFeatures(); column++) {
            int group = groups.get(Words.INT, 4L * column);
            none &= group == -1;
            plain &= group == column / size;
            if (!none && (group < 0 || group >= count)) {
                findings.accept(Finding.error(
                        "order",
                        checkpoint.fileOf(name) + ": tensor " + name + " puts input " + column + " into group " + group
                                + ", there are " + count + "; get the file again"));
                return;
            }
        }
        if (!plain && !none && !quantization.ordersColumns()) {
            findings.accept(Finding.error(
                    "order",
                    checkpoint.fileOf(name) + ": tensor " + name
                            + " has reordered columns, but config.json says otherwise; loaders that go by the config"
                            + " compute other results: set "
                            + (format.isGptq() ? "desc_act true" : "actorder \"group\"")));
        }
    }

    /** Loaders do not read the zeros of a checkpoint that calls itself symmetric. */
    private void symmetric(Layout.Tensors tensors) {
        if (!quantization.symmetric() || !tensors.has(Role.ZEROS)) {
            return;
        }
        String name = tensors.name(Role.ZEROS);
        MemorySegment zeros = checkpoint.tensor(name).data();
        int middle = tensors.spec().middle();
        int one = quantization.format() == QuantizedFormat.GPTQ ? middle - 1 : middle;
        int expected = Words.repeated(one, tensors.spec().bits());
        for (long i = 0; i + 4 <= zeros.byteSize(); i += 4) {
            if (zeros.get(Words.INT, i) != expected) {
                findings.accept(Finding.error(
                        "zeros",
                        checkpoint.fileOf(name) + ": tensor " + name
                                + " has zeros other than " + middle + " although config.json says"
                                + " that the weights are symmetric, and loaders take " + middle
                                + " for all; say symmetric false"));
                return;
            }
        }
    }

    /** Compares the mean of each group with the spread of its weights. */
    private void zeros(PackedLinear linear, Layout.Tensors tensors) {
        if (tensors.spec().bits() != 4) {
            return;
        }
        int size = tensors.spec().columnsPerGroup(linear.inFeatures());
        float[] row = new float[linear.inFeatures()];
        double shift = 0;
        long groups = 0;
        for (int r = 0; r < linear.outFeatures(); r++) {
            linear.dequantize(r, row, 0);
            for (int start = 0; start < row.length; start += size) {
                double sum = 0;
                double squares = 0;
                for (int c = start; c < start + size; c++) {
                    sum += row[c];
                    squares += row[c] * row[c];
                }
                double mean = sum / size;
                double variance = squares / size - mean * mean;
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
                            Locale.ROOT,
                            "%s: the weights of %s average to %+.2f standard deviations over %,d groups, trained ones"
                                    + " to about 0; zero points are probably stored by another convention (GPTQ stores"
                                    + " them less one): quantize again or convert with the right format",
                            checkpoint.fileOf(tensors.name(Role.CODES)),
                            tensors.module(),
                            average,
                            groups)));
        }
    }
}
