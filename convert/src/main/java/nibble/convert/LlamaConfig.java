package nibble.convert;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a model of the Llama family says of itself in config.json.
 *
 * @param architecture {@code LlamaForCausalLM}
 * @param hiddenSize width of the residual stream
 * @param intermediateSize width of the MLP
 * @param layers decoder layers
 * @param heads query heads
 * @param kvHeads key and value heads; divides {@code heads}
 * @param headDim width of a head, even; {@code heads * headDim} need not be {@code hiddenSize}
 * @param vocabularySize rows of the embedding
 * @param maxPositions positions the model was made for
 * @param rmsNormEps added to the mean square inside the norms
 * @param tiedEmbeddings whether the embedding is the output projection too
 * @param dtype type of the weights as the config states it; F16 where it states none. The files may differ
 * @param bosId id that starts a text, or -1 for none
 * @param eosIds ids that end a text; may be empty
 * @param quantization how the linears are quantized, if they are
 * @param json the whole config as found, for carrying over
 */
public record LlamaConfig(
        String architecture,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int headDim,
        int vocabularySize,
        int maxPositions,
        double rmsNormEps,
        Rope rope,
        boolean tiedEmbeddings,
        DType dtype,
        int bosId,
        List<Integer> eosIds,
        Optional<QuantizationConfig> quantization,
        ObjectNode json) {

    private static final String ARCHITECTURE = "LlamaForCausalLM";

    /** Far above any Llama, low enough that no product of two widths overflows what follows. */
    private static final int MAX_WIDTH = 1 << 20;

    /** What transformers assumes where a config does not say. */
    private static final int DEFAULT_POSITIONS = 2048;

    public LlamaConfig {
        eosIds = List.copyOf(eosIds);
    }

    /**
     * Reads a config.json with the keys of 2023 ({@code torch_dtype}, {@code rope_scaling}, {@code rope_theta}) or of
     * today ({@code dtype}, {@code rope_parameters}).
     *
     * @throws BadCheckpointException if it is absent, malformed, out of range, or of a model that is not supported
     */
    public static LlamaConfig read(Path configJson) {
        return of(configJson, StrictJson.readObject(configJson));
    }

    /**
     * As {@link #read}, of JSON that need not come from a file.
     *
     * @param configJson what messages name
     */
    public static LlamaConfig of(Path configJson, ObjectNode json) {
        ConfigKeys keys = new ConfigKeys(configJson, json, "");
        refuseOtherModels(keys);

        int hidden = keys.integer("hidden_size", 1, MAX_WIDTH);
        int heads = keys.integer("num_attention_heads", 1, 1 << 16);
        int kvHeads = keys.integerIfPresent("num_key_value_heads", 1, 1 << 16).orElse(heads);
        if (heads % kvHeads != 0) {
            throw new BadCheckpointException(
                    configJson,
                    "num_attention_heads " + heads + " is not a multiple of num_key_value_heads " + kvHeads
                            + "; take the model's original config.json");
        }
        int headDim = keys.integerIfPresent("head_dim", 2, 1 << 16).orElseGet(() -> dividedWidth(keys, hidden, heads));
        if (headDim % 2 != 0 || (long) heads * headDim > MAX_WIDTH) {
            throw new BadCheckpointException(
                    configJson,
                    heads + " heads of " + headDim + ", expected an even head_dim and at most " + MAX_WIDTH
                            + " in all; take the model's original config.json");
        }
        // An absent key has the default of transformers; null says that there is none.
        List<Integer> bos = json.has("bos_token_id") ? keys.integers("bos_token_id", -1, Integer.MAX_VALUE) : List.of(1);
        List<Integer> eos = json.has("eos_token_id") ? keys.integers("eos_token_id", 0, Integer.MAX_VALUE) : List.of(2);
        return new LlamaConfig(
                ARCHITECTURE,
                hidden,
                keys.integer("intermediate_size", 1, MAX_WIDTH),
                keys.integer("num_hidden_layers", 1, 10_000),
                heads,
                kvHeads,
                headDim,
                keys.integer("vocab_size", 1, 1 << 24),
                keys.integerIfPresent("max_position_embeddings", 1, 1 << 28).orElse(DEFAULT_POSITIONS),
                keys.number("rms_norm_eps", Double.MIN_NORMAL, 1),
                RopeKeys.read(keys),
                keys.flag("tie_word_embeddings", false),
                dtype(keys),
                bos.isEmpty() ? -1 : bos.getFirst(),
                eos,
                keys.object("quantization_config").map(object -> QuantizationConfig.read(configJson, object)),
                json);
    }

    /** A copy of the whole config as found, which the caller may change. */
    @Override
    public ObjectNode json() {
        return json.deepCopy();
    }

    /** This config, with what another file says of its quantization. */
    LlamaConfig withQuantization(QuantizationConfig found) {
        return new LlamaConfig(
                architecture, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, vocabularySize, maxPositions,
                rmsNormEps, rope, tiedEmbeddings, dtype, bosId, eosIds, Optional.of(found), json);
    }

    /** Output features of a linear: the rows of its fp16 weight. */
    public int outFeatures(LlamaLinear linear) {
        return switch (linear) {
            case Q -> heads * headDim;
            case K, V -> kvHeads * headDim;
            case O, DOWN -> hiddenSize;
            case GATE, UP -> intermediateSize;
        };
    }

    /** Input features of a linear: the columns of its fp16 weight. */
    public int inFeatures(LlamaLinear linear) {
        return switch (linear) {
            case Q, K, V, GATE, UP -> hiddenSize;
            case O -> heads * headDim;
            case DOWN -> intermediateSize;
        };
    }

    /** The unquantized weight [out, in] of a linear. */
    public TensorSpec spec(LlamaLinear linear, int layer) {
        return new TensorSpec(
                linear.module(layer) + ".weight", dtype, Shape.of(outFeatures(linear), inFeatures(linear)));
    }

    /**
     * Every tensor of the unquantized model, in canonical order: embedding; of each layer the input norm, q, k, v, o, the
     * post-attention norm, gate, up, down; final norm; head unless tied.
     */
    public List<TensorSpec> tensors() {
        List<TensorSpec> specs = new ArrayList<>();
        specs.add(new TensorSpec(TensorNames.EMBEDDING, dtype, Shape.of(vocabularySize, hiddenSize)));
        for (int layer = 0; layer < layers; layer++) {
            specs.add(norm(TensorNames.inputNorm(layer)));
            for (LlamaLinear linear : LlamaLinear.values()) {
                if (linear == LlamaLinear.GATE) {
                    specs.add(norm(TensorNames.postAttentionNorm(layer)));
                }
                specs.add(spec(linear, layer));
            }
        }
        specs.add(norm(TensorNames.FINAL_NORM));
        if (!tiedEmbeddings) {
            specs.add(new TensorSpec(TensorNames.HEAD, dtype, Shape.of(vocabularySize, hiddenSize)));
        }
        return List.copyOf(specs);
    }

    private TensorSpec norm(String name) {
        return new TensorSpec(name, dtype, Shape.of(hiddenSize));
    }

    private static void refuseOtherModels(ConfigKeys keys) {
        String supported = " is not supported; supported: LlamaForCausalLM (model_type \"llama\")";
        Optional<JsonNode> architectures = keys.value("architectures");
        if (architectures.isPresent()) {
            JsonNode found = architectures.get();
            if (!found.isArray() || found.size() != 1 || !found.get(0).isTextual()) {
                throw keys.wrong("architectures", found, "a list of one name, [\"LlamaForCausalLM\"]");
            }
            if (!found.get(0).textValue().equals(ARCHITECTURE)) {
                throw new BadCheckpointException(keys.file(), "architecture " + found.get(0) + supported);
            }
        }
        Optional<String> type = keys.text("model_type");
        if (type.isPresent() && !type.get().equals("llama")) {
            throw new BadCheckpointException(keys.file(), "model_type \"" + type.get() + "\"" + supported);
        }
        if (architectures.isEmpty() && type.isEmpty()) {
            throw keys.missing("architectures");
        }
        String activation = keys.text("hidden_act").orElse("silu");
        if (!activation.equals("silu")) {
            throw new BadCheckpointException(
                    keys.file(), "hidden_act \"" + activation + "\" is not supported; supported: silu");
        }
        for (String bias : List.of("attention_bias", "mlp_bias")) {
            if (keys.flag(bias, false)) {
                throw new BadCheckpointException(
                        keys.file(), bias + " true is not supported; supported: Llama models without biases");
            }
        }
    }

    private static int dividedWidth(ConfigKeys keys, int hidden, int heads) {
        if (hidden % heads != 0) {
            throw new BadCheckpointException(
                    keys.file(),
                    "hidden_size " + hidden + " is not a multiple of num_attention_heads " + heads
                            + " and head_dim is not given; take the model's original config.json");
        }
        return hidden / heads;
    }

    private static DType dtype(ConfigKeys keys) {
        String key = keys.value("dtype").isPresent() ? "dtype" : "torch_dtype";
        String name = keys.text(key).orElse("float16");
        return switch (name.startsWith("torch.") ? name.substring("torch.".length()) : name) {
            case "float16", "half" -> DType.F16;
            case "bfloat16" -> DType.BF16;
            case "float32", "float" -> DType.F32;
            default ->
                throw new BadCheckpointException(
                        keys.file(),
                        key + " \"" + name + "\" is not supported; supported: float16, bfloat16, float32");
        };
    }
}
