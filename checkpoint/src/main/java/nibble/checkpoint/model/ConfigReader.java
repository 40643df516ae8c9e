package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.keys.OtherModels;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.model.quantization.Fp8Config;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;
import nibble.checkpoint.source.TextConfig;
import nibble.checkpoint.tensor.DType;

/** Reads config.json: what an architecture says and transformers assumes, checked. */
final class ConfigReader {
    /** Far above any Llama, low enough that no product of two widths overflows what follows. */
    private static final int MAX_WIDTH = 1 << 20;

    private ConfigReader() {}

    /** @see ModelConfig#of */
    static ModelConfig read(Path configJson, ObjectNode whole) {
        ObjectNode json = TextConfig.of(configJson, whole);
        ConfigKeys keys = new ConfigKeys(configJson, json, "");
        Architecture architecture = Architectures.of(keys);
        ConfigDefaults defaults = architecture.defaults();
        OtherModels.refuse(keys, architecture.ownKeys(), architecture.mixesExperts());
        architecture.requireActivation(keys);

        int hidden = keys.integer("hidden_size", 1, MAX_WIDTH);
        int heads = keys.integer("num_attention_heads", 1, 1 << 16);
        int kvHeads = keys.integerIfPresent("num_key_value_heads", 1, 1 << 16)
                .orElseGet(() -> json.has("num_key_value_heads")
                        ? heads
                        : defaults.kvHeads().orElse(heads));
        if (heads % kvHeads != 0) {
            throw new BadCheckpointException(
                    configJson,
                    "num_attention_heads " + heads + " is not a multiple of num_key_value_heads " + kvHeads
                            + "; take the model's original config.json");
        }
        Optional<LatentAttention> latent = architecture.latent(keys);
        // transformers writes the part of a head that turns as head_dim.
        int headDim = latent.map(LatentAttention::headDim)
                .or(() -> keys.integerIfPresent("head_dim", 2, 1 << 16))
                .or(defaults::headDim)
                .orElseGet(() -> dividedWidth(keys, hidden, heads));
        if (headDim % 2 != 0 || (long) heads * headDim > MAX_WIDTH) {
            throw new BadCheckpointException(
                    configJson,
                    heads + " heads of " + headDim + ", expected an even head_dim and at most " + MAX_WIDTH
                            + " in all; take the model's original config.json");
        }
        int layers = keys.integer("num_hidden_layers", 1, Architecture.MOST_LAYERS);
        // An absent key has the default of transformers; null says that there is none.
        List<Integer> bos =
                json.has("bos_token_id") ? keys.integers("bos_token_id", -1, Integer.MAX_VALUE) : defaults.bos();
        List<Integer> eos =
                json.has("eos_token_id") ? keys.integers("eos_token_id", 0, Integer.MAX_VALUE) : defaults.eos();
        return new ModelConfig(
                architecture,
                hidden,
                keys.integer(architecture.intermediateKey(), 1, MAX_WIDTH),
                layers,
                heads,
                kvHeads,
                headDim,
                keys.integer("vocab_size", 1, 1 << 24),
                keys.integerIfPresent("max_position_embeddings", 1, 1 << 28).orElse(defaults.positions()),
                epsilon(architecture, keys),
                attention(architecture, keys, layers, headDim),
                architecture.multipliers(keys, hidden, headDim),
                architecture.biases(keys),
                architecture.experts(keys),
                latent,
                keys.flag("tie_word_embeddings", defaults.tiedEmbeddings()),
                dtype(keys),
                bos.isEmpty() ? -1 : bos.getFirst(),
                eos,
                keys.object("quantization_config")
                        .filter(object -> !Fp8Config.isRead(object)
                                && !architecture.readsAsDense(
                                        object.path("quant_method").asText()))
                        .map(object -> QuantizationConfig.read(configJson, object)),
                json);
    }

    private static List<LayerAttention> attention(Architecture architecture, ConfigKeys keys, int layers, int headDim) {
        List<LayerAttention> attention = architecture.attention(keys, layers);
        for (LayerAttention layer : attention) {
            layer.rope().ifPresent(rope -> requireWidth(keys, rope, headDim));
        }
        return attention;
    }

    private static void requireWidth(ConfigKeys keys, Rope rope, int headDim) {
        int width = rope.width(headDim);
        if (width < 2 || width % 2 != 0) {
            throw new BadCheckpointException(
                    keys.file(),
                    "rope turns " + width + " values of heads of " + headDim
                            + ", expected an even number; take the model's original config.json");
        }
        if (rope.scaling() instanceof Rope.LongRope factors
                && (factors.shortFactors().size() != width / 2
                        || factors.longFactors().size() != width / 2)) {
            throw new BadCheckpointException(
                    keys.file(),
                    "rope has " + factors.shortFactors().size() + " short and "
                            + factors.longFactors().size() + " long factors, expected " + width / 2
                            + " of each; take the model's original config.json");
        }
    }

    private static double epsilon(Architecture architecture, ConfigKeys keys) {
        // transformers has a default for LayerNorm's key, and published files of every class say the other one.
        return architecture.epsilonKey().equals("rms_norm_eps")
                ? keys.number(architecture.epsilonKey(), Double.MIN_NORMAL, 1)
                : keys.numberIfPresent(architecture.epsilonKey(), Double.MIN_NORMAL, 1)
                        .orElse(1e-5);
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
                        keys.file(), key + " \"" + name + "\" is not supported; supported: float16, bfloat16, float32");
        };
    }
}
