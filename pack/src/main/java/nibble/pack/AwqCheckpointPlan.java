package nibble.pack;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import nibble.convert.DType;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.ShardPlan;
import nibble.convert.TensorSpec;

/**
 * Everything about an AWQ checkpoint that follows from the model's config alone, before any weight is read: which tensors
 * lie in which shard, the two config files, and the bytes of them all.
 *
 * @param spec what the linears are quantized to
 * @param shards the safetensors files and their index
 * @param configJson content of config.json
 * @param quantConfigJson content of quant_config.json
 */
public record AwqCheckpointPlan(QuantizationSpec spec, ShardPlan shards, String configJson, String quantConfigJson) {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final DefaultPrettyPrinter PRETTY = new DefaultPrettyPrinter()
            .withObjectIndenter(new DefaultIndenter("  ", "\n"))
            .withArrayIndenter(new DefaultIndenter("  ", "\n"));

    /**
     * Plans the output for a model that is not quantized yet.
     *
     * @param maxShardBytes most bytes of a shard
     * @throws IllegalArgumentException if a linear's shape does not fit the spec, naming the tensor
     */
    public static AwqCheckpointPlan of(LlamaConfig config, QuantizationSpec spec, long maxShardBytes) {
        return new AwqCheckpointPlan(
                spec, ShardPlan.of(specs(config, spec), maxShardBytes), configJson(config, spec), quantConfigJson(spec));
    }

    /** The tensors in the source's canonical order, each linear's weight replaced by qweight, qzeros and scales. */
    private static List<TensorSpec> specs(LlamaConfig config, QuantizationSpec spec) {
        Map<String, List<TensorSpec>> packed = new HashMap<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (LlamaLinear linear : LlamaLinear.values()) {
                TensorSpec weight = config.spec(linear, layer);
                int out = Math.toIntExact(weight.shape().dim(0));
                int in = Math.toIntExact(weight.shape().dim(1));
                packed.put(weight.name(), AwqLayout.specs(linear.module(layer), out, in, spec));
            }
        }
        List<TensorSpec> specs = new ArrayList<>();
        for (TensorSpec tensor : config.tensors()) {
            List<TensorSpec> three = packed.get(tensor.name());
            if (three != null) {
                specs.addAll(three);
            } else {
                specs.add(new TensorSpec(tensor.name(), DType.F16, tensor.shape()));
            }
        }
        return specs;
    }

    private static String configJson(LlamaConfig config, QuantizationSpec spec) {
        ObjectNode json = config.json().deepCopy();
        // Whichever of the two keys the source uses is set in place; the 2023 one where it has neither.
        boolean named = false;
        for (String key : List.of("torch_dtype", "dtype")) {
            if (json.has(key)) {
                json.put(key, "float16");
                named = true;
            }
        }
        if (!named) {
            json.put("torch_dtype", "float16");
        }
        json.putObject("quantization_config")
                .put("bits", spec.bits())
                .put("group_size", spec.groupSize())
                .putNull("modules_to_not_convert")
                .put("quant_method", "awq")
                .put("version", "gemm")
                .put("zero_point", true);
        return pretty(json);
    }

    private static String quantConfigJson(QuantizationSpec spec) {
        return pretty(JSON.createObjectNode()
                .put("zero_point", true)
                .put("q_group_size", spec.groupSize())
                .put("w_bit", spec.bits())
                .put("version", "GEMM"));
    }

    private static String pretty(ObjectNode json) {
        try {
            return JSON.writer(PRETTY).writeValueAsString(json) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a JSON tree that cannot be written", e);
        }
    }

    /** Names of the tensors of a decoder layer, in the order of their data. */
    public List<String> layerTensors(int layer) {
        return names().filter(name -> name.startsWith("model.layers." + layer + ".")).toList();
    }

    /** Names of what is not part of a layer: embedding, final norm and, unless tied to the embedding, the head. */
    public List<String> outerTensors() {
        return names().filter(name -> !name.startsWith("model.layers.")).toList();
    }

    private Stream<String> names() {
        return shards.shards().stream().flatMap(shard -> shard.tensors().stream()).map(TensorSpec::name);
    }

    /** Bytes of the safetensors files and their index. */
    public long shardBytes() {
        return shards.fileBytes();
    }

    /** Bytes of everything that follows from the config: shards, index, config.json, quant_config.json. */
    public long fileBytes() {
        return shardBytes() + utf8Length(configJson) + utf8Length(quantConfigJson);
    }

    private static long utf8Length(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }
}
