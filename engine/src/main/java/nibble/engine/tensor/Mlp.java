package nibble.engine.tensor;

import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import nibble.checkpoint.model.Linear;

/**
 * Holds the weights of {@code down(activation(gate(x)) * up(x))}.
 *
 * @param gate [width, hidden]
 * @param up [width, hidden]
 * @param down [hidden, width]
 * @param biases of an expert, [out] of each linear that has one; those of a layer's only MLP are in its extras
 */
public record Mlp(Weight gate, Weight up, Weight down, Map<Linear, float[]> biases) implements FeedForward {
    public Mlp {
        biases = Map.copyOf(biases);
    }

    /** Makes one without biases of its own. */
    public Mlp(Weight gate, Weight up, Weight down) {
        this(gate, up, down, Map.of());
    }

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
        return new Mlp(replacement.apply(gate), replacement.apply(up), replacement.apply(down), biases);
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
