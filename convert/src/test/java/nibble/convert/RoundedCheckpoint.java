package nibble.convert;

import java.nio.file.Path;
import java.util.List;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;
import nibble.pack.WeightReader;
import nibble.pack.layout.Layout;
import nibble.pack.layout.PackedTensor;

/** A checkpoint of fp16 weights, plainly rounded and written in a 4-bit layout. */
public final class RoundedCheckpoint {
    private RoundedCheckpoint() {}

    /**
     * Writes it into an existing folder.
     *
     * @return its plan
     */
    public static CheckpointPlan write(
            Checkpoint source, Path out, QuantizedFormat format, QuantizationSpec spec, long maxShardBytes) {
        CheckpointPlan plan = CheckpointPlan.of(source.config(), format, spec, maxShardBytes);
        try (CheckpointWriter writer = CheckpointWriter.keeping(source, out, plan)) {
            writer.carryOuterTensors();
            for (int layer = 0; layer < source.config().layers(); layer++) {
                for (String norm : List.of(
                        source.config().norm(LayerNorm.ATTENTION_IN, layer).orElseThrow(),
                        source.config().norm(LayerNorm.MLP_IN, layer).orElseThrow())) {
                    writer.write(new PackedTensor(norm, source.tensor(norm).data()));
                }
                for (Linear linear : Linear.SEVEN) {
                    Layout.of(format)
                            .pack(LinearModule.of(linear).name(layer), rounded(source, linear, layer, spec), false)
                            .forEach(writer::write);
                }
            }
            writer.finish();
        }
        return plan;
    }

    /** One of its linears. */
    static QuantizedLinear rounded(Checkpoint source, Linear linear, int layer, QuantizationSpec spec) {
        String name = linear.module(layer) + ".weight";
        float[] weights = WeightReader.floats(source.tensor(name), source.fileOf(name));
        int rows = source.config().outFeatures(linear);
        return Rounding.round(
                source.fileOf(name), name, weights, rows, source.config().inFeatures(linear), spec, null);
    }
}
