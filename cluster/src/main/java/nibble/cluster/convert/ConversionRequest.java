package nibble.cluster.convert;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.tensor.DType;
import nibble.convert.CheckpointConverter;
import nibble.convert.CheckpointConverter.Target;
import nibble.convert.ConversionOptions;
import nibble.convert.ConversionReport;
import nibble.convert.blocks.ImportanceFile;
import nibble.convert.gguf.GgufExporter;
import nibble.convert.gguf.GgufMix;
import org.jspecify.annotations.Nullable;

/**
 * Says what a model is converted to.
 *
 * @param model folder or file, the same on every host
 * @param mix of GGUF; null for a folder of safetensors
 * @param importance file of GGUF's importance, the same on every host; null for none
 * @param packed quantized format; null for dense weights
 * @param type of dense weights; null to keep each tensor's own
 */
public record ConversionRequest(
        String model,
        @Nullable GgufMix mix,
        @Nullable String importance,
        @Nullable QuantizedFormat packed,
        @Nullable DType type)
        implements Serializable {
    /** Asks for GGUF. */
    public static ConversionRequest gguf(String model, GgufMix mix, @Nullable String importance) {
        return new ConversionRequest(model, mix, importance, null, null);
    }

    /** Asks for a folder of safetensors. */
    public static ConversionRequest folder(String model, Target target) {
        return switch (target) {
            case Target.Packed(QuantizedFormat format) -> new ConversionRequest(model, null, null, format, null);
            case Target.Safetensors(Optional<DType> type) ->
                new ConversionRequest(model, null, null, null, type.orElse(null));
        };
    }

    /** Does the conversion, or the share of it that the options name. */
    ConversionReport run(Checkpoint source, ConversionOptions options) {
        if (mix != null) {
            return GgufExporter.export(
                    source,
                    mix,
                    Optional.ofNullable(importance).map(file -> ImportanceFile.read(Path.of(file))),
                    options);
        }
        Target target = packed != null ? new Target.Packed(packed) : new Target.Safetensors(Optional.ofNullable(type));
        return CheckpointConverter.convert(source, target, options);
    }
}
