package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Holds the extents of a Llama model, for what needs no weights: plans, and measurements on random ones.
 *
 * @param name as on the command line
 * @param intermediateSize width of the MLP
 * @param positions the model is made for
 */
public record ModelShape(
        String name,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int vocabularySize,
        int positions) {

    /** Llama 2 as published: config.json of each size. And a small one for trying things out. */
    private static final List<ModelShape> NAMED = List.of(
            new ModelShape("llama-2-7b", 4096, 11008, 32, 32, 32, 32_000, 4096),
            new ModelShape("llama-2-13b", 5120, 13824, 40, 40, 40, 32_000, 4096),
            new ModelShape("llama-2-70b", 8192, 28672, 80, 64, 8, 32_000, 4096),
            new ModelShape("tiny", 128, 384, 4, 4, 2, 4096, 512));

    public static List<String> names() {
        return NAMED.stream().map(ModelShape::name).toList();
    }

    /** Returns the shape of this name; none if it is not known. */
    public static Optional<ModelShape> named(String name) {
        return NAMED.stream().filter(shape -> shape.name.equals(name)).findFirst();
    }

    /** Returns the same with another number of decoder layers. */
    public ModelShape withLayers(int number) {
        return new ModelShape(name, hiddenSize, intermediateSize, number, heads, kvHeads, vocabularySize, positions);
    }

    /** Returns the config.json of a model of this shape, with the keys of 2023. */
    public ObjectNode configJson() {
        ObjectNode json = new ObjectMapper().createObjectNode();
        json.putArray("architectures").add("LlamaForCausalLM");
        return json.put("bos_token_id", 1)
                .put("eos_token_id", 2)
                .put("hidden_act", "silu")
                .put("hidden_size", hiddenSize)
                .put("initializer_range", 0.02)
                .put("intermediate_size", intermediateSize)
                .put("max_position_embeddings", positions)
                .put("model_type", "llama")
                .put("num_attention_heads", heads)
                .put("num_hidden_layers", layers)
                .put("num_key_value_heads", kvHeads)
                .put("pretraining_tp", 1)
                .put("rms_norm_eps", 1e-5)
                .putNull("rope_scaling")
                .put("tie_word_embeddings", false)
                .put("torch_dtype", "float16")
                .put("use_cache", true)
                .put("vocab_size", vocabularySize);
    }

    /** Returns the config of a model of this shape. */
    public ModelConfig config() {
        return ModelConfig.of(Path.of(name), configJson());
    }
}
