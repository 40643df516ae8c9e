package nibble.convert.gguf;

import java.util.List;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.GgufTraits;
import nibble.checkpoint.model.GptOssFamily;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.PhiFamily;
import nibble.checkpoint.model.layer.AttentionTemperature;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;

/** What a model may have so that llama.cpp, which knows tensors and keys by architecture, can hold it. */
final class GgufForm {
    /** Of a factor of scores, relative: a few roundings to fp32. */
    private static final double TOLERANCE = 1e-6;

    /** Layers from which on llama.cpp's {@code command-r} has norms of heads: Command R+ has 64. */
    static final int NORMED_LAYERS = 64;

    private GgufForm() {}

    /** @throws BadCheckpointException naming what has no form in GGUF */
    static void require(Checkpoint source) {
        ModelConfig config = source.config();
        Architecture architecture = config.architecture();
        GgufTraits traits = architecture.gguf();
        requireRope(source, config);
        for (Linear linear : config.biases()) {
            if (!traits.biases().contains(linear)) {
                throw none(
                        source,
                        "a bias of " + linear.path() + " has a form in GGUF for \"llama\" and \"granite\" only");
            }
        }
        if (traits.tied() && !config.tiedEmbeddings()) {
            throw none(source, "an output projection other than the embedding has no form in GGUF");
        }
        if (traits.name().equals("command-r")
                && architecture.headNorm() == HeadNorm.NONE
                && config.layers() >= NORMED_LAYERS) {
            throw none(
                    source,
                    config.layers() + " layers without norms of heads have no form in GGUF, where those of "
                            + NORMED_LAYERS + " layers or more have such norms");
        }
        if (traits.square() && config.heads() * config.headDim() != config.hiddenSize()) {
            throw none(
                    source,
                    config.heads() + " heads of " + config.headDim() + " in a width of " + config.hiddenSize()
                            + " have no form in GGUF");
        }
        requireMultipliers(source, config);
        if (traits.hasChunks() && config.experts().isEmpty()) {
            throw none(source, "a model without experts has no form in GGUF");
        }
        config.experts().ifPresent(experts -> requireExperts(source, experts, traits));
    }

    private static void requireExperts(Checkpoint source, Experts experts, GgufTraits traits) {
        if (traits.hasChunks()) {
            requireChunks(source, experts);
            return;
        }
        boolean leading = experts.denseLayers().stream()
                .allMatch(layer -> layer < experts.denseLayers().size());
        if (!experts.denseLayers().isEmpty() && !(leading && traits.leadsDense())) {
            throw none(
                    source,
                    "layer "
                            + experts.denseLayers().stream()
                                    .min(Integer::compare)
                                    .orElseThrow()
                            + " without experts has no form in GGUF, where all layers of \"" + traits.name()
                            + "\" have them");
        }
        if (experts.choice().corrected()) {
            return;
        }
        if (experts.choice().groups() != experts.choice().chosenGroups()) {
            throw none(
                    source,
                    "experts from the " + experts.choice().chosenGroups() + " groups with the best ones have no form"
                            + " in GGUF, where groups are chosen by the sum of their two best");
        }
        if (experts.choice().mixes()) {
            requirePhi(source, experts);
            return;
        }
        if (experts.choice().normalized() != traits.normalizesExperts()) {
            throw none(
                    source,
                    "norm_topk_prob " + experts.choice().normalized() + " has no form in GGUF, where it is "
                            + traits.normalizesExperts() + " for \"" + traits.name() + "\"");
        }
    }

    /** llama.cpp knows the numbers of Llama 4 by its name alone. */
    private static void requireChunks(Checkpoint source, Experts experts) {
        ModelConfig config = source.config();
        Optional<AttentionTemperature> grows =
                Optional.of(new AttentionTemperature(GgufTraits.CHUNK, GgufTraits.GROWTH));
        for (LayerAttention layer : config.attention()) {
            if (layer.rope().isPresent() && layer.chunk() != GgufTraits.CHUNK) {
                throw none(
                        source,
                        "attention_chunk_size " + (layer.hasChunks() ? layer.chunk() : "null")
                                + " has no form in GGUF, where it is " + GgufTraits.CHUNK);
            }
            if (layer.rope().isEmpty() && !layer.temperature().equals(grows)) {
                throw none(
                        source,
                        "attn_temperature_tuning other than with floor_scale " + GgufTraits.CHUNK + " and attn_scale "
                                + GgufTraits.GROWTH + " has no form in GGUF");
            }
        }
        boolean normed = config.architecture().headNorm() != HeadNorm.NONE;
        if (normed != (experts.count() != GgufTraits.EXPERTS_WITHOUT_NORMS)) {
            throw none(
                    source,
                    "use_qk_norm " + normed + " with " + experts.count()
                            + " experts has no form in GGUF, where models of " + GgufTraits.EXPERTS_WITHOUT_NORMS
                            + " experts have no such norm and others have it");
        }
    }

    /** llama.cpp needs the biases, and the file has no key for the noise. */
    private static void requirePhi(Checkpoint source, Experts experts) {
        ModelConfig config = source.config();
        if (!config.architecture().biasesHead(config.json())
                || !config.biases().containsAll(List.of(Linear.Q, Linear.K, Linear.V, Linear.O))) {
            throw none(source, "attention or a head without biases has no form in GGUF");
        }
        if (Math.abs(experts.choice().margin() / Experts.Choice.PHI_MARGIN - 1) > TOLERANCE) {
            throw none(
                    source,
                    "router_jitter_noise " + experts.choice().margin() / 2 + " has no form in GGUF, where it is "
                            + Experts.Choice.PHI_MARGIN / 2);
        }
    }

    private static void requireRope(Checkpoint source, ModelConfig config) {
        Architecture architecture = config.architecture();
        GgufTraits traits = architecture.gguf();
        switch (config.rope().scaling()) {
            case Rope.DynamicNtk _ -> throw none(source, "rope scaling \"dynamic\" has no form in GGUF");
            case Rope.Llama3 _ -> {
                if (!traits.name().equals("llama") && !traits.hasChunks()) {
                    throw none(source, "rope scaling \"llama3\" has a form in GGUF for \"llama\" only");
                }
            }
            case Rope.Yarn yarn -> {
                // Where keys and values come from a narrow vector, all of a query is longer, by a key of its own.
                double usual = config.latent().isPresent() ? 1 : 0.1 * Math.log(yarn.factor()) + 1;
                boolean gptOss = architecture == GptOssFamily.GPT_OSS;
                if (!yarn.truncate() && !gptOss || Math.abs(yarn.attentionFactor() / usual - 1) > TOLERANCE) {
                    throw none(
                            source,
                            "rope scaling \"yarn\" with attention factor " + yarn.attentionFactor()
                                    + (yarn.truncate() ? "" : ", not truncated,") + " has no form in GGUF, which has "
                                    + usual + ", truncated");
                }
            }
            case Rope.LongRope factors -> {
                if (architecture != PhiFamily.PHI3 && architecture != PhiFamily.PHI_MOE) {
                    throw none(source, "rope scaling \"longrope\" has a form in GGUF for \"phi3\" and \"phimoe\" only");
                }
                if (factors.attentionFactor() != factors.longAttentionFactor()) {
                    throw none(
                            source,
                            "short_mscale " + factors.attentionFactor() + " and long_mscale "
                                    + factors.longAttentionFactor() + " have no form in GGUF, which has one number");
                }
            }
            case Rope.None _, Rope.Linear _ -> {}
        }
        for (int layer = 0; layer < config.layers(); layer++) {
            boolean without = traits.turnsInWindows()
                    ? !config.attention(layer).hasWindow()
                    : traits.ropelessEvery() > 0 && (layer + 1) % traits.ropelessEvery() == 0;
            boolean granite = traits.keys().contains(GgufTraits.RESIDUAL);
            if (!granite && config.attention(layer).rope().isPresent() == without) {
                throw none(
                        source,
                        "layer " + layer + (without ? " with" : " without") + " rope has no form in GGUF, where "
                                + (traits.turnsInWindows()
                                        ? "layers with a window have it, and no others"
                                        : traits.ropelessEvery() == 0
                                                ? "all layers have it"
                                                : "each layer but every " + traits.ropelessEvery() + "th has it"));
            }
        }
        if (traits.ropelessEvery() > 0 && config.window() != ModelConfig.NO_WINDOW) {
            throw none(source, "a window has no form in GGUF");
        }
    }

    /** llama.cpp computes numbers that no key says from the extents. */
    private static void requireMultipliers(Checkpoint source, ModelConfig config) {
        Architecture architecture = config.architecture();
        GgufTraits traits = architecture.gguf();
        Multipliers m = config.multipliers();
        double usual = architecture.ggufScore(config.layers(), config.hiddenSize(), config.heads(), config.headDim());
        boolean byRope = config.latent().isPresent();
        if (!byRope && !traits.keys().contains(GgufTraits.SCORE) && Math.abs(m.score() / usual - 1) > TOLERANCE) {
            throw none(
                    source,
                    "a scale of " + m.score() + " of scores (query_pre_attn_scalar) has no form in GGUF, where it is "
                            + usual);
        }
        boolean capped = traits.keys().contains(GgufTraits.SCORE_CAP);
        if (capped != (m.scoreCap() != 0) || capped && m.logitCap() == 0) {
            throw none(
                    source,
                    "capped scores " + (m.scoreCap() == 0 ? "0" : m.scoreCap()) + " and logits " + m.logitCap()
                            + " have no form in GGUF");
        }
    }

    private static BadCheckpointException none(Checkpoint source, String what) {
        return new BadCheckpointException(
                source.configFile(),
                what + ", and this is " + source.config().architecture().className() + " (\""
                        + source.config().architecture().ggufName() + "\"); convert to another format");
    }
}
