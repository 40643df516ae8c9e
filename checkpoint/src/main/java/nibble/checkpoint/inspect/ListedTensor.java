package nibble.checkpoint.inspect;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import nibble.checkpoint.gguf.GgufFile;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.StoredTensor;

/**
 * Describes a tensor as a file lists it.
 *
 * @param type as the file names it
 * @param shape extents, outermost first
 * @param weights numbers of the model that it holds; 0 for what only says how others are stored, as scales
 */
public record ListedTensor(String name, String type, List<Long> shape, long bytes, long weights, String file) {
    /** Tensors that are part of how quantized weights are stored and no weights themselves. */
    private static final Pattern STORAGE = Pattern.compile(".*(\\.(qzeros|scales|g_idx|weight_scale|weight_scale_inv"
            + "|weight_global_scale|weight_zero_point|weight_shape|weight_g_idx|input_scale|input_global_scale|absmax"
            + "|quant_map|nested_absmax|nested_quant_map|inv_freq)|\\.quant_state\\..*|_scales)");

    private static final Pattern PACKED = Pattern.compile(".*\\.(qweight|weight_packed)");

    static ListedTensor of(StoredTensor tensor, Optional<ObjectNode> config) {
        List<Long> shape = tensor.spec().shape().dims();
        return new ListedTensor(
                tensor.name(),
                tensor.storage(),
                shape,
                tensor.storedBytes(),
                weights(tensor, config),
                String.valueOf(tensor.file().getFileName()));
    }

    static ListedTensor of(GgufFile.Tensor tensor, Path file) {
        // Factors of the rotary embedding belong to the config elsewhere.
        long weights = tensor.name().startsWith("rope_") ? 0 : tensor.shape().elements();
        return new ListedTensor(
                tensor.name(),
                tensor.type().name(),
                tensor.shape().dims(),
                tensor.data().byteSize(),
                weights,
                String.valueOf(file.getFileName()));
    }

    private static long weights(StoredTensor tensor, Optional<ObjectNode> config) {
        String name = tensor.name();
        if (STORAGE.matcher(name).matches()) {
            return 0;
        }
        long elements = tensor.spec().shape().elements();
        if (PACKED.matcher(name).matches()) {
            return elements * 8 * tensor.spec().dtype().bytes() / bits(config);
        }
        // gpt-oss's MXFP4 and bitsandbytes' 4-bit weights: two in a byte.
        boolean pairs = tensor.spec().dtype() == DType.U8 && (name.endsWith("_blocks") || name.endsWith(".weight"));
        return pairs ? 2 * elements : elements;
    }

    /** Bits of a packed weight, as the config says in one of several ways; 4 where it says nothing. */
    private static int bits(Optional<ObjectNode> config) {
        JsonNode quantization = config.<JsonNode>map(json -> json.path("quantization_config"))
                .orElseGet(com.fasterxml.jackson.databind.node.MissingNode::getInstance);
        JsonNode bits = quantization.path("bits");
        for (JsonNode group : quantization.path("config_groups")) {
            bits = bits.isInt() ? bits : group.path("weights").path("num_bits");
        }
        int found = bits.isInt() ? bits.asInt() : 4;
        return found >= 1 && found <= 32 ? found : 4;
    }
}
