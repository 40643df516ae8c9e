package nibble.checkpoint.model;

import java.util.Arrays;
import java.util.List;

/**
 * Lists the distinct inputs of the linears of a decoder layer; linears that share one share its second moments. A Llama
 * has the four that are not latent.
 */
public enum LinearInput {
    /** Output of input_layernorm; input of q_proj, k_proj, v_proj. */
    QKV,
    /** Output of q_a_layernorm; input of q_b_proj. */
    QUERY_LATENT,
    /** Output of kv_a_layernorm; input of kv_b_proj. */
    KEY_VALUE_LATENT,
    /** Attention output before o_proj. */
    O,
    /** Output of post_attention_layernorm; input of gate_proj, up_proj. */
    GATE_UP,
    /** silu(gate) * up; input of down_proj. */
    DOWN;

    /** Returns the linears that read it, in canonical order. */
    public List<Linear> readers() {
        return Arrays.stream(Linear.values())
                .filter(linear -> linear.input() == this)
                .toList();
    }
}
