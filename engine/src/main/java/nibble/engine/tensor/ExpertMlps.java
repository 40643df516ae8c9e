package nibble.engine.tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import nibble.checkpoint.model.Expert;

/**
 * Holds a layer's experts and what chooses them.
 *
 * @param router [experts, hidden], never quantized
 * @param routerBias [experts], of its logits, or of their sigmoids where experts are chosen; empty where there is none
 * @param routed the experts it chooses from
 * @param shared the expert that every token passes, if there is one
 * @param sharedGate [1, hidden]: the sigmoid of its product weighs the shared expert's output
 */
public record ExpertMlps(
        Weight router, float[] routerBias, List<Mlp> routed, Optional<Mlp> shared, Optional<Weight> sharedGate)
        implements FeedForward {
    public ExpertMlps {
        routed = List.copyOf(routed);
    }

    /** Returns the weights of an expert. */
    public Mlp of(Expert expert) {
        return expert.isRouted() ? routed.get(expert.index()) : shared.orElseThrow();
    }

    @Override
    public ExpertMlps map(UnaryOperator<Weight> replacement) {
        return new ExpertMlps(
                router,
                routerBias,
                routed.stream().map(mlp -> mlp.map(replacement)).toList(),
                shared.map(mlp -> mlp.map(replacement)),
                sharedGate);
    }

    @Override
    public Stream<Weight> weights() {
        return mlps().stream().flatMap(Mlp::weights);
    }

    @Override
    public List<Mlp> mlps() {
        List<Mlp> mlps = new ArrayList<>(routed);
        shared.ifPresent(mlps::add);
        return mlps;
    }
}
