package nibble.checkpoint.model.quantization;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;

/** Names how a checkpoint is quantized, whether or not it can be read here. */
public final class QuantizationLabel {
    private QuantizationLabel() {}

    /**
     * Returns a label as {@code awq 4-bit group 128 (gemm)}; empty where nothing says that the model is quantized.
     *
     * @param folder where files of older writers may lie beside config.json
     */
    public static Optional<String> of(Path folder, ObjectNode config) {
        JsonNode found = config.path("quantization_config");
        if (found instanceof ObjectNode quantization) {
            try {
                return Optional.of(label(QuantizationConfig.read(folder.resolve("config.json"), quantization)));
            } catch (BadCheckpointException e) {
                String method = quantization.path("quant_method").asText("a method without a name");
                JsonNode bits = quantization.path("bits");
                return Optional.of("quantized by " + method + (bits.isInt() ? ", " + bits.asInt() + "-bit" : ""));
            }
        }
        for (String file : new String[] {"quant_config.json", "quantize_config.json"}) {
            Path path = folder.resolve(file);
            if (Files.isRegularFile(path)) {
                boolean awq = file.equals("quant_config.json");
                return Optional.of(
                        label(awq ? QuantizationConfig.readAwqFile(path) : QuantizationConfig.readGptqFile(path)));
            }
        }
        return Optional.empty();
    }

    private static String label(QuantizationConfig config) {
        return config.method() + " " + config.bits() + "-bit group " + config.groupSize() + " (" + config.version()
                + ")";
    }
}
