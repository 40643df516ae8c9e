package nibble.checkpoint.model;

import java.util.List;
import java.util.Optional;

/**
 * What transformers' config class of an architecture assumes for keys that a config.json leaves out.
 *
 * @param positions {@code max_position_embeddings}
 * @param bos {@code bos_token_id}, empty for none
 * @param eos {@code eos_token_id}, empty for none
 * @param headDim {@code head_dim}; empty where it is hidden_size / num_attention_heads
 * @param kvHeads {@code num_key_value_heads}; empty where it is num_attention_heads
 * @param tiedEmbeddings {@code tie_word_embeddings}
 */
record ConfigDefaults(
        int positions,
        List<Integer> bos,
        List<Integer> eos,
        Optional<Integer> headDim,
        Optional<Integer> kvHeads,
        boolean tiedEmbeddings) {

    ConfigDefaults(int positions, List<Integer> bos, List<Integer> eos) {
        this(positions, bos, eos, Optional.empty(), Optional.empty(), false);
    }

    ConfigDefaults withHeadDim(int width) {
        return new ConfigDefaults(positions, bos, eos, Optional.of(width), kvHeads, tiedEmbeddings);
    }

    ConfigDefaults withKvHeads(int heads) {
        return new ConfigDefaults(positions, bos, eos, headDim, Optional.of(heads), tiedEmbeddings);
    }

    ConfigDefaults withTiedEmbeddings() {
        return new ConfigDefaults(positions, bos, eos, headDim, kvHeads, true);
    }
}
