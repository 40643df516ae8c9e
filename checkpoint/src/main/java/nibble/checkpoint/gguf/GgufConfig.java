package nibble.checkpoint.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.GgufTraits;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.source.BadCheckpointException;

/** Makes a config.json of the metadata of a GGUF file, with what llama.cpp assumes where a key is absent. */
final class GgufConfig {
    private final GgufFile file;
    private final GgufMetadata metadata;
    private final Architecture architecture;
    private final int layers;
    private final int headDim;
    private final Optional<GgufLatent> latent;

    GgufConfig(GgufFile file, Architecture architecture, int layers, int headDim, Optional<GgufLatent> latent) {
        this.latent = latent;
        this.file = file;
        this.metadata = file.metadata();
        this.architecture = architecture;
        this.layers = layers;
        this.headDim = headDim;
    }

    /** What the tensors say. */
    record Tensors(long vocabulary, boolean outputBias, boolean mlpBias, boolean headBias, boolean tied) {}

    private String key(String name) {
        return architecture.ggufName() + "." + name;
    }

    ObjectNode json(Tensors tensors) {
        GgufTraits traits = architecture.gguf();
        long heads = metadata.requiredUniform(key("attention.head_count"));
        long hidden = metadata.requiredInteger(key("embedding_length"));
        double theta = metadata.number(key("rope.freq_base")).orElse(10_000.0);
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.putArray("architectures").add(architecture.className());
        json.put("model_type", architecture.modelType())
                .put("hidden_act", architecture.activation().configName());
        if (architecture.activation() == Activation.GELU_TANH) {
            json.put("hidden_activation", architecture.activation().configName());
        }
        if (tensors.outputBias()) {
            json.put("attention_bias", true);
        }
        if (tensors.mlpBias()) {
            json.put("mlp_bias", true);
        }
        if (tensors.headBias()) {
            json.put("lm_head_bias", true);
        }
        json.put("hidden_size", hidden);
        json.put(architecture.intermediateKey(), metadata.requiredUniform(key("feed_forward_length")));
        json.put("num_hidden_layers", layers);
        architecture.expertNames().ifPresent(names -> experts(json, names));
        json.put("num_attention_heads", heads).put("head_dim", headDim);
        json.put(
                "num_key_value_heads",
                metadata.uniform(key("attention.head_count_kv")).orElse(heads));
        json.put("vocab_size", tensors.vocabulary());
        json.put("max_position_embeddings", metadata.requiredInteger(key("context_length")));
        json.put(
                architecture.epsilonKey(),
                single(metadata.requiredNumber(key("attention." + architecture.ggufEpsilon()))));
        json.put("rope_theta", theta);
        rope(json, theta);
        windows(json);
        numbers(json, (int) hidden, (int) heads);
        if (traits.ropelessEvery() > 0) {
            json.put("no_rope_layer_interval", traits.ropelessEvery());
        }
        latent.ifPresent(extents -> extents.describe(json, metadata, architecture.ggufName()));
        json.put("tie_word_embeddings", tensors.tied()).put("torch_dtype", "float16");
        metadata.integer("tokenizer.ggml.bos_token_id").ifPresent(id -> json.put("bos_token_id", id));
        metadata.integer("tokenizer.ggml.eos_token_id").ifPresent(id -> json.put("eos_token_id", id));
        return json;
    }

    /** With llama.cpp's fixed choice for what the file does not say: whose weights have the sum 1. */
    private void experts(ObjectNode json, Experts.Names names) {
        long count = metadata.requiredInteger(key("expert_count"));
        boolean mixtral = names.equals(Experts.Names.MIXTRAL) || names.areTransposed();
        json.put(mixtral ? "num_local_experts" : "num_experts", count)
                .put("num_experts_per_tok", metadata.requiredInteger(key("expert_used_count")));
        metadata.integer(key("expert_feed_forward_length"))
                .ifPresent(width -> json.put(
                        architecture.gguf().hasChunks() ? "intermediate_size" : "moe_intermediate_size", width));
        if (architecture.gguf().hasChunks()) {
            chunks(json, count);
            return;
        }
        metadata.integer(key("expert_shared_feed_forward_length"))
                .ifPresent(width -> json.put("shared_expert_intermediate_size", width));
        if (!mixtral) {
            json.put("norm_topk_prob", architecture.gguf().normalizesExperts());
        }
    }

    /** With llama.cpp's numbers for what the file does not say. */
    private void chunks(ObjectNode json, long experts) {
        if (metadata.integer(key("attention.sliding_window")).orElse(1L) == 0) {
            throw new BadCheckpointException(
                    file.path(),
                    "metadata key " + key("attention.sliding_window")
                            + " is 0: a model without chunks, which is not supported in " + architecture.className());
        }
        json.put("interleave_moe_layer_step", metadata.requiredInteger(key("interleave_moe_layer_step")))
                .put("attention_chunk_size", GgufTraits.CHUNK)
                .put("attn_temperature_tuning", true)
                .put("floor_scale", GgufTraits.CHUNK)
                .put("attn_scale", GgufTraits.GROWTH)
                .put("use_qk_norm", experts != GgufTraits.EXPERTS_WITHOUT_NORMS);
    }

    /** A float in the file: 1e-5 comes back as 9.99999974737875e-6 unless rounded to a float's digits. */
    static double single(double value) {
        return Double.parseDouble(Float.toString((float) value));
    }

    private void windows(ObjectNode json) {
        long window = metadata.integer(key("attention.sliding_window")).orElse(0L);
        int every = architecture.gguf().windowEvery();
        if (every == 0) {
            if (window > 0) {
                json.put("sliding_window", window);
            }
            return;
        }
        List<Boolean> slides = slides(every);
        if (window > 0) {
            json.put("sliding_window", window);
        } else if (architecture.ggufName().equals("gemma2")) {
            json.put("sliding_window", 4096);
        } else {
            slides.replaceAll(_ -> false);
            json.putNull("sliding_window");
        }
        ArrayNode types = json.putArray("layer_types");
        slides.forEach(slide -> types.add(slide ? "sliding_attention" : "full_attention"));
    }

    private List<Boolean> slides(int every) {
        String pattern = key("attention.sliding_window_pattern");
        if (metadata.values().get(pattern) instanceof List<?>) {
            List<Boolean> stated = new ArrayList<>(metadata.list(pattern, Boolean.class));
            if (stated.size() < layers) {
                throw new BadCheckpointException(
                        file.path(),
                        "metadata key " + pattern + " has " + stated.size() + " entries for " + layers
                                + " layers; get the file again");
            }
            return stated.subList(0, layers);
        }
        long stated = metadata.integer(pattern).orElse((long) every);
        List<Boolean> slides = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            slides.add(stated > 1 && (layer + 1) % stated != 0);
        }
        return slides;
    }

    private void numbers(ObjectNode json, int hidden, int heads) {
        GgufTraits traits = architecture.gguf();
        if (traits.keys().contains(GgufTraits.RESIDUAL)) {
            json.put("embedding_multiplier", number(GgufTraits.EMBEDDING, 1));
            json.put("residual_multiplier", number(GgufTraits.RESIDUAL, 1));
            json.put(
                    "attention_multiplier",
                    number(GgufTraits.SCORE, architecture.ggufScore(layers, hidden, heads, headDim)));
            json.put("logits_scaling", single(metadata.requiredNumber(key(GgufTraits.LOGITS))));
            if (!metadata.flag(key("rope.scaling.finetuned")).orElse(true)) {
                throw new BadCheckpointException(
                        file.path(),
                        "metadata key " + key("rope.scaling.finetuned")
                                + " is false: a model without rope, which is not supported in "
                                + architecture.className());
            }
        }
        if (architecture.headNorm() == HeadNorm.CENTERED) {
            json.put("use_qk_norm", true);
        }
        if (traits.multipliesLogits()) {
            json.put("logit_scale", single(metadata.requiredNumber(key(GgufTraits.LOGITS))));
        }
        if (traits.keys().contains(GgufTraits.LOGIT_CAP)) {
            double score = architecture.ggufScore(layers, hidden, heads, headDim);
            json.put("query_pre_attn_scalar", Math.round(1 / (score * score)));
            boolean scores = traits.keys().contains(GgufTraits.SCORE_CAP);
            cap(json, "attn_logit_softcapping", GgufTraits.SCORE_CAP, scores ? 50 : 0);
            cap(json, "final_logit_softcapping", GgufTraits.LOGIT_CAP, scores ? 30 : 0);
        }
    }

    private double number(String name, double otherwise) {
        // 0 says nothing, as in llama.cpp.
        return metadata.number(key(name))
                .filter(value -> value != 0)
                .map(GgufConfig::single)
                .orElse(otherwise);
    }

    private void cap(ObjectNode json, String configKey, String name, double otherwise) {
        double cap = architecture.gguf().keys().contains(name)
                ? metadata.number(key(name)).map(GgufConfig::single).orElse(otherwise)
                : 0;
        if (cap == 0) {
            json.putNull(configKey);
        } else {
            json.put(configKey, cap);
        }
    }

    private void rope(ObjectNode json, double theta) {
        long rotated = metadata.integer(key("rope.dimension_count")).orElse((long) headDim);
        if (rotated != headDim && latent.isEmpty()) {
            json.put("partial_rotary_factor", (double) rotated / headDim);
        }
        if (architecture.gguf().windowEvery() > 0
                && metadata.values().containsKey(key("rope.freq_base_swa"))
                && metadata.requiredNumber(key("rope.freq_base_swa")) != localTheta(theta)) {
            json.put("rope_local_base_freq", metadata.requiredNumber(key("rope.freq_base_swa")));
        }
        json.set("rope_scaling", new GgufRope(file, architecture, (int) rotated).scaling(json, theta));
    }

    /** The base of layers with a window where nothing says it. */
    private double localTheta(double theta) {
        return architecture.ggufName().equals("gemma3") ? 10_000 : theta;
    }

    static JsonNode none() {
        return JsonNodeFactory.instance.nullNode();
    }
}
