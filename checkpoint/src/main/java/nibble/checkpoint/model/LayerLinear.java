package nibble.checkpoint.model;

import java.util.Comparator;

/**
 * Names a linear of a decoder layer.
 *
 * @param expert whose it is; {@link Expert#NONE} for attention and for the MLP of a layer without experts
 */
public record LayerLinear(Linear linear, Expert expert) implements Comparable<LayerLinear> {
    /** Attention, then the routed experts, then the shared one. */
    private static final Comparator<LayerLinear> CANONICAL = Comparator.comparing((LayerLinear named) ->
                    named.expert.equals(Expert.SHARED) ? Integer.MAX_VALUE : named.expert.index())
            .thenComparing(LayerLinear::linear);

    /** Names a linear of attention, or of the MLP of a layer without experts. */
    public static LayerLinear of(Linear linear) {
        return new LayerLinear(linear, Expert.NONE);
    }

    /** Returns the input that it reads. */
    public LinearInput input() {
        return linear.input();
    }

    @Override
    public int compareTo(LayerLinear other) {
        return CANONICAL.compare(this, other);
    }

    @Override
    public String toString() {
        return expert.isPart() ? expert + ", " + linear.path() : linear.path();
    }
}
