package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.Set;
import nibble.checkpoint.model.layer.Multipliers;

/**
 * Describes what llama.cpp knows of an architecture from its name alone, so what a GGUF file of that name cannot say.
 *
 * @param name {@code general.architecture}, with which metadata keys begin
 * @param interleaved whether rope turns neighbours, so that rows of query and key heads are interleaved in the file
 * @param square whether heads together must be as wide as the residual stream
 * @param windowEvery n where every n-th layer sees all positions and the others a window; 0 where none has a window
 * @param ropelessEvery n where every n-th layer goes without rope; 0 where all have it
 * @param tied whether the embedding must be the output projection
 * @param keys metadata keys, without the name, that hold {@link Multipliers}
 * @param biases linears that may have one
 */
public record GgufTraits(
        String name,
        boolean interleaved,
        boolean square,
        int windowEvery,
        int ropelessEvery,
        boolean tied,
        Set<String> keys,
        Set<Linear> biases) {
    /** A scale of scores. */
    public static final String SCORE = "attention.scale";

    public static final String EMBEDDING = "embedding_scale";
    public static final String RESIDUAL = "residual_scale";

    /** What logits are divided by, or in {@code command-r} and {@code cohere2} multiplied by. */
    public static final String LOGITS = "logit_scale";

    public static final String SCORE_CAP = "attn_logit_softcapping";
    public static final String LOGIT_CAP = "final_logit_softcapping";

    private static final Set<Linear> QKV = Set.of(Linear.Q, Linear.K, Linear.V);

    /**
     * Returns whether llama.cpp brings the weights of the chosen experts to a sum of 1, which the file does not say.
     */
    public boolean normalizesExperts() {
        return name.equals("llama") || name.equals("qwen3moe") || name.equals("gpt-oss");
    }

    /** Returns whether {@link #LOGITS} is what logits are multiplied by. */
    public boolean multipliesLogits() {
        return keys.contains(LOGITS) && !keys.contains(RESIDUAL);
    }

    /** Returns whether layers without a window go without rope, and the others have it. */
    public boolean turnsInWindows() {
        return name.equals("cohere2");
    }

    /** Positions of a chunk, and positions after which queries grow, where a file cannot say others. */
    public static final int CHUNK = 8192;

    /** How much queries grow, where a file cannot say it. */
    public static final double GROWTH = 0.1;

    /** Experts of a layer of Llama 4 without norms of queries and keys, by which llama.cpp knows it. */
    public static final int EXPERTS_WITHOUT_NORMS = 128;

    /**
     * Returns whether layers with rope see chunks of {@link #CHUNK} positions, queries of the others grow, and layers
     * of a step have experts.
     */
    public boolean hasChunks() {
        return name.equals("llama4");
    }

    /** Returns whether the first layers may have one MLP where the others have experts, as the file says. */
    public boolean leadsDense() {
        return name.equals("deepseek2");
    }

    /** Describes one that has nothing of its own. */
    public GgufTraits(String name) {
        this(name, false, false, 0, 0, false, Set.of(), QKV);
    }

    GgufTraits withNeighbours() {
        return new GgufTraits(name, true, square, windowEvery, ropelessEvery, tied, keys, biases);
    }

    GgufTraits withSquareHeads() {
        return new GgufTraits(name, interleaved, true, windowEvery, ropelessEvery, tied, keys, biases);
    }

    GgufTraits withAllEvery(int layers) {
        return new GgufTraits(name, interleaved, square, layers, ropelessEvery, tied, keys, biases);
    }

    GgufTraits withRopelessEvery(int layers) {
        return new GgufTraits(name, interleaved, square, windowEvery, layers, tied, keys, biases);
    }

    GgufTraits withTiedEmbeddings() {
        return new GgufTraits(name, interleaved, square, windowEvery, ropelessEvery, true, keys, biases);
    }

    GgufTraits withKeys(String... own) {
        return new GgufTraits(name, interleaved, square, windowEvery, ropelessEvery, tied, Set.of(own), biases);
    }

    GgufTraits withAllBiases() {
        return new GgufTraits(
                name, interleaved, square, windowEvery, ropelessEvery, tied, keys, EnumSet.allOf(Linear.class));
    }
}
