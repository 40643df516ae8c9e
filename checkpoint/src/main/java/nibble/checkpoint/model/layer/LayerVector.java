package nibble.checkpoint.model.layer;

/** Lists the vectors that some architectures have in a decoder layer beside norms' gains and the biases of linears. */
public enum LayerVector {
    /** Bias of the norm in front of attention, [hidden]. */
    ATTENTION_IN_BIAS,

    /** Bias of the norm in front of the MLP, [hidden]. */
    MLP_IN_BIAS,

    /** Scores that softmax of attention has beside those of keys, [heads]. */
    SINKS,

    /** Bias of the router's logits, or of its scores where experts are chosen, [experts]. */
    ROUTER_BIAS
}
