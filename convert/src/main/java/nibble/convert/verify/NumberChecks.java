package nibble.convert.verify;

import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorView;
import nibble.pack.WeightReader;

/** Checks of the numbers themselves: finite, scales above zero. */
final class NumberChecks {
    private NumberChecks() {}

    static void run(Checkpoint checkpoint, Consumer<Finding> findings) {
        Optional<QuantizationConfig> quantization = checkpoint.config().quantization();
        for (String name : checkpoint.names()) {
            StoredTensor stored = checkpoint.stored(name).orElseThrow();
            if (!stored.spec().dtype().isWeight()) {
                continue;
            }
            TensorView tensor = stored.view();
            Path file = checkpoint.fileOf(name);
            boolean scales =
                    quantization.isPresent() && quantization.get().format().isNamed(name, Role.SCALES);
            try {
                WeightReader.requireFinite(tensor, file);
                if (scales) {
                    aboveZero(tensor, file, quantization.get(), findings);
                }
            } catch (BadCheckpointException e) {
                findings.accept(Finding.of(scales ? "scales" : "numbers", e));
            }
        }
        if (quantization.isPresent()) {
            LayoutChecks.run(checkpoint, quantization.get(), findings);
        }
    }

    /**
     * A scale below 0 turns a group around; where all zeros are 8 that is a way to use the sixteenth code, else damage.
     */
    private static void aboveZero(
            TensorView scales, Path file, QuantizationConfig quantization, Consumer<Finding> findings) {
        float[] values = WeightReader.floats(scales, file);
        long columns = scales.shape().dim(scales.shape().rank() - 1);
        long zero = 0;
        for (int i = 0; i < values.length; i++) {
            if (values[i] < 0 && !quantization.symmetric()) {
                findings.accept(Finding.error(
                        "scales",
                        file + ": tensor " + scales.name() + " element [" + i / columns + ", " + i % columns + "] is "
                                + values[i] + ", scales are above 0; quantize again"));
                return;
            }
            zero += values[i] == 0 ? 1 : 0;
        }
        if (zero > 0) {
            findings.accept(Finding.warning(
                    "scales",
                    file + ": tensor " + scales.name() + " has " + zero + " scales of 0, whose groups' weights all read"
                            + " as 0; check that the original weights are 0 there"));
        }
    }
}
