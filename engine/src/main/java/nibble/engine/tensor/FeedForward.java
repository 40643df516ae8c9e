package nibble.engine.tensor;

import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Holds the weights of the half of a decoder layer behind attention: one MLP, or a mixture of experts. */
public sealed interface FeedForward permits Mlp, ExpertMlps {
    /** Returns it with each weight of an MLP replaced. What chooses experts stays. */
    FeedForward map(UnaryOperator<Weight> replacement);

    /** Returns the weights of all MLPs. */
    Stream<Weight> weights();

    /** Returns the MLPs in order. */
    List<Mlp> mlps();
}
