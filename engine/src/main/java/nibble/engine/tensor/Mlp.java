package nibble.engine.tensor;

import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import nibble.checkpoint.model.Linear;

/**
 * Holds the weights of {@code down(activation(gate(x)) * up(x))}.
 *
 * @param gate [width, hidden]
 * @param up [width, hidden]
 * @param down [hidden, width]
 */
public record Mlp(Weight gate, Weight up, Weight down) implements FeedForward {
    /** Returns one of the three. */
    public Weight weight(Linear linear) {
        return switch (linear) {
            case GATE -> gate;
            case UP -> up;
            case DOWN -> down;
            case Q, Q_A, Q_B, K, V, KV_A, KV_B, O ->
                throw new IllegalArgumentException(linear + " is not part of an MLP");
        };
    }

    @Override
    public Mlp map(UnaryOperator<Weight> replacement) {
        return new Mlp(replacement.apply(gate), replacement.apply(up), replacement.apply(down));
    }

    @Override
    public Stream<Weight> weights() {
        return Stream.of(gate, up, down);
    }

    @Override
    public List<Mlp> mlps() {
        return List.of(this);
    }
}
