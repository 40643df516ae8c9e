package nibble.pack;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import nibble.convert.DType;
import nibble.convert.LinearModule;
import nibble.convert.LlamaConfig;
import nibble.convert.QuantizedFormat;
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
            for (LinearModule module : config.modules()) {
                packed.put(
                        config.spec(module, layer).name(),
                        AwqLayout.specs(
                                module.name(layer), config.outFeatures(module), config.inFeatures(module), spec));
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
        return QuantizationJson.pretty(QuantizationJson.quantized(config, QuantizedFormat.AWQ_GEMM, spec, false));
    }

    private static String quantConfigJson(QuantizationSpec spec) {
        return Objects.requireNonNull(
                QuantizationJson.beside(QuantizedFormat.AWQ_GEMM, spec, false).get("quant_config.json"));
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
