package nibble.convert.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import nibble.checkpoint.gguf.GgufLatent;
import nibble.checkpoint.gguf.GgufValue;
import nibble.checkpoint.gguf.GgufValue.F32;
import nibble.checkpoint.gguf.GgufValue.Flag;
import nibble.checkpoint.gguf.GgufValue.Flags;
import nibble.checkpoint.gguf.GgufValue.Text;
import nibble.checkpoint.gguf.GgufValue.U32;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.GgufTraits;
import nibble.checkpoint.model.GraniteFamily;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.PhiFamily;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.model.layer.Rope;

/**
 * The metadata that only some architectures have, by keys without the architecture's name: as llama.cpp's converter.
 */
final class ArchitectureMetadata {
    private final ModelConfig config;
    private final Architecture architecture;
    private final GgufTraits traits;
    private final SequencedMap<String, GgufValue> pairs = new LinkedHashMap<>();

    ArchitectureMetadata(ModelConfig config) {
        this.config = config;
        this.architecture = config.architecture();
        this.traits = architecture.gguf();
        rope();
        windows();
        multipliers();
        config.experts().ifPresent(this::experts);
        config.latent().ifPresent(this::latent);
    }

    SequencedMap<String, GgufValue> pairs() {
        return pairs;
    }

    private void experts(Experts experts) {
        pairs.put("expert_count", new U32(experts.count()));
        pairs.put("expert_used_count", new U32(experts.chosen()));
        if (traits.hasChunks()) {
            int step = 1;
            while (!experts.in(step - 1)) {
                step++;
            }
            pairs.put("interleave_moe_layer_step", new U32(step));
            pairs.put("expert_feed_forward_length", new U32(experts.width()));
            return;
        }
        if (experts.biased()
                || experts.width() != config.intermediateSize()
                || config.json().has("moe_intermediate_size")) {
            pairs.put("expert_feed_forward_length", new U32(experts.width()));
        }
        if (experts.shared().exists() && config.latent().isEmpty()) {
            pairs.put(
                    "expert_shared_feed_forward_length",
                    new U32(experts.shared().width()));
        }
    }

    /** As llama.cpp computes it: one key/value head, of the narrow vector and the part of keys that turns. */
    private void latent(LatentAttention latent) {
        pairs.put("vocab_size", new U32(config.vocabularySize()));
        if (latent.queryRank() > 0) {
            pairs.put("attention.q_lora_rank", new U32(latent.queryRank()));
        }
        pairs.put("attention.kv_lora_rank", new U32(latent.rank()));
        pairs.put("attention.key_length", new U32(latent.rank() + latent.turned()));
        pairs.put("attention.value_length", new U32(latent.rank()));
        pairs.put("attention.key_length_mla", new U32(latent.headDim()));
        pairs.put("attention.value_length_mla", new U32(latent.value()));
        pairs.put("rope.dimension_count", new U32(latent.turned()));
        config.experts().ifPresent(experts -> {
            pairs.put("leading_dense_block_count", new U32(experts.denseLayers().size()));
            pairs.put("expert_shared_count", new U32(experts.shared().width() / experts.width()));
            if (experts.choice().corrected()
                    || config.json().path("routed_scaling_factor").isNumber()) {
                pairs.put(
                        "expert_weights_scale", new F32((float) experts.choice().factor()));
            }
            if (experts.choice().corrected()) {
                // Softmax is what a file means that does not say it.
                pairs.put("expert_gating_func", new U32(GgufLatent.SIGMOID));
                if (experts.choice().normalized()) {
                    pairs.put("expert_weights_norm", new Flag(true));
                }
            } else if (config.json().path("scoring_func").isTextual()) {
                pairs.put("expert_gating_func", new U32(1));
            }
            groups(experts.choice());
        });
        for (String rope : List.of("rope_parameters", "rope_scaling")) {
            JsonNode scale = config.json().path(rope).path("mscale_all_dim");
            if (scale.isNumber()) {
                pairs.put("rope.scaling.yarn_log_multiplier", new F32((float) (0.1 * scale.doubleValue())));
            }
        }
    }

    /** Where all are in one group, as the config says it. */
    private void groups(Experts.Choice choice) {
        if (choice.corrected()) {
            pairs.put("expert_group_count", new U32(choice.groups()));
            pairs.put("expert_group_used_count", new U32(choice.chosenGroups()));
        } else {
            count("n_group", "expert_group_count");
            count("topk_group", "expert_group_used_count");
        }
    }

    private void count(String configKey, String key) {
        if (config.json().path(configKey).isInt()) {
            pairs.put(key, new U32(config.json().path(configKey).intValue()));
        }
    }

    private void rope() {
        // llama.cpp's converter has these two in what it derives from Llama.
        boolean llama = traits.interleaved() || traits.hasChunks();
        if (llama || isPhi()) {
            pairs.put("rope.dimension_count", new U32(config.rope().width(config.headDim())));
        }
        boolean gemma = traits.tied() && !architecture.ropeDiffers() && !architecture.isParallel();
        if (!gemma || config.rope().theta() != 10_000) {
            pairs.put("rope.freq_base", new F32((float) config.rope().theta()));
        }
        if (architecture.ropeDiffers()) {
            config.attention().stream()
                    .filter(LayerAttention::hasWindow)
                    .flatMap(layer -> layer.rope().stream())
                    .findFirst()
                    .ifPresent(rope -> pairs.put("rope.freq_base_swa", new F32((float) rope.theta())));
        }
        if (traits.turnsInWindows()) {
            pairs.put("rope.dimension_count", new U32(config.headDim()));
        }
        if (llama || traits.turnsInWindows()) {
            pairs.put("vocab_size", new U32(config.vocabularySize()));
        }
        if (architecture == GraniteFamily.GRANITE_HYBRID) {
            pairs.put(
                    "rope.scaling.finetuned",
                    new Flag(config.attention().getFirst().rope().isPresent()));
        }
        if (isPhi()) {
            int original = config.rope().scaling() instanceof Rope.LongRope factors
                    ? factors.originalMaxPositions()
                    : config.json().path("original_max_position_embeddings").asInt(config.maxPositions());
            pairs.put("rope.scaling.original_context_length", new U32(original));
        }
        scaling();
    }

    private boolean isPhi() {
        return architecture == PhiFamily.PHI3 || architecture == PhiFamily.PHI_MOE;
    }

    private void scaling() {
        switch (config.rope().scaling()) {
            case Rope.None() -> {
                if (architecture.isParallel()) {
                    pairs.put("rope.scaling.type", new Text("none"));
                }
            }
            case Rope.Llama3 _ -> {}
            case Rope.Linear(double factor) -> {
                pairs.put("rope.scaling.type", new Text("linear"));
                pairs.put("rope.scaling.factor", new F32((float) factor));
            }
            case Rope.Yarn yarn -> {
                pairs.put("rope.scaling.type", new Text("yarn"));
                pairs.put("rope.scaling.factor", new F32((float) yarn.factor()));
                pairs.put("rope.scaling.original_context_length", new U32(yarn.originalMaxPositions()));
                if (states("attention_factor")) {
                    pairs.put("rope.scaling.yarn_attn_factor", new F32((float) yarn.attentionFactor()));
                }
                if (states("beta_fast")) {
                    pairs.put("rope.scaling.yarn_beta_fast", new F32((float) yarn.betaFast()));
                }
                if (states("beta_slow")) {
                    pairs.put("rope.scaling.yarn_beta_slow", new F32((float) yarn.betaSlow()));
                }
            }
            case Rope.LongRope factors ->
                pairs.put("rope.scaling.attn_factor", new F32((float) factors.attentionFactor()));
            case Rope.DynamicNtk _ -> throw new IllegalStateException("refused before");
        }
    }

    /** Whether the config gives a number of rope's scaling itself. */
    private boolean states(String key) {
        for (JsonNode rope : List.of(
                config.json().path("rope_scaling"),
                config.json().path("rope_parameters"),
                config.json().path("rope_parameters").path("full_attention"))) {
            if (rope.path(key).isNumber()) {
                return true;
            }
        }
        return false;
    }

    private void windows() {
        int window = config.window();
        if (isPhi()) {
            // llama.cpp's converter always writes it; 0 is none.
            pairs.put("attention.sliding_window", new U32(window == ModelConfig.NO_WINDOW ? 0 : window));
        }
        if (traits.windowEvery() == 0 || window == ModelConfig.NO_WINDOW) {
            return;
        }
        pairs.put("attention.sliding_window", new U32(window));
        List<Boolean> slides =
                config.attention().stream().map(LayerAttention::hasWindow).toList();
        boolean usual = true;
        for (int layer = 0; layer < slides.size(); layer++) {
            usual &= slides.get(layer) == ((layer + 1) % traits.windowEvery() != 0);
        }
        // The converter lists them for OLMo 3.
        if (!usual || traits.name().equals("olmo2")) {
            pairs.put("attention.sliding_window_pattern", new Flags(slides));
        }
    }

    private void multipliers() {
        Multipliers m = config.multipliers();
        put(GgufTraits.SCORE, m.score());
        put(GgufTraits.EMBEDDING, m.embedding());
        put(GgufTraits.RESIDUAL, m.residual());
        put(GgufTraits.LOGITS, traits.multipliesLogits() ? m.logits() : 1 / m.logits());
        put(GgufTraits.SCORE_CAP, m.scoreCap());
        put(GgufTraits.LOGIT_CAP, m.logitCap());
    }

    private void put(String key, double value) {
        if (traits.keys().contains(key) && value != 0) {
            pairs.put(key, new F32((float) value));
        }
    }
}
