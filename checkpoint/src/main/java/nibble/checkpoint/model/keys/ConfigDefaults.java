package nibble.checkpoint.model.keys;

import java.util.List;
import java.util.Optional;

/**
 * Holds what transformers' config class of an architecture assumes for keys that a config.json leaves out.
 *
 * @param positions {@code max_position_embeddings}
 * @param bos {@code bos_token_id}, empty for none
 * @param eos {@code eos_token_id}, empty for none
 * @param headDim {@code head_dim}; empty where it is hidden_size / num_attention_heads
 * @param kvHeads {@code num_key_value_heads}; empty where it is num_attention_heads
 * @param tiedEmbeddings {@code tie_word_embeddings}
 */
public record ConfigDefaults(
        int positions,
        List<Integer> bos,
        List<Integer> eos,
        Optional<Integer> headDim,
        Optional<Integer> kvHeads,
        boolean tiedEmbeddings) {

    /** Describes heads that share the width, each with its own key and value, and a head beside the embedding. */
    public ConfigDefaults(int positions, List<Integer> bos, List<Integer> eos) {
        this(positions, bos, eos, Optional.empty(), Optional.empty(), false);
    }

    /** Returns these with another {@code head_dim}. */
    public ConfigDefaults withHeadDim(int width) {
        return new ConfigDefaults(positions, bos, eos, Optional.of(width), kvHeads, tiedEmbeddings);
    }

    /** Returns these with another {@code num_key_value_heads}. */
    public ConfigDefaults withKvHeads(int heads) {
        return new ConfigDefaults(positions, bos, eos, headDim, Optional.of(heads), tiedEmbeddings);
    }

    /** Returns these with the embedding as the output projection. */
    public ConfigDefaults withTiedEmbeddings() {
        return new ConfigDefaults(positions, bos, eos, headDim, kvHeads, true);
    }
}
