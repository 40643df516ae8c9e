package nibble.calibrate.search;

import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.layer.LayerNorm;
import org.jspecify.annotations.Nullable;

/**
 * A producer of channels and the linears that read them: what a scale is divided out of, and multiplied into. One norm
 * serves all experts of a layer; each has its own {@code up_proj -> down_proj}.
 *
 * @param expert whose up and down; {@link Expert#NONE} for the others and for a layer without experts
 */
record ScalePair(Kind kind, Expert expert) implements Comparable<ScalePair> {
    static final ScalePair ATTENTION_NORM = new ScalePair(Kind.ATTENTION_NORM, Expert.NONE);
    static final ScalePair VALUE_OUTPUT = new ScalePair(Kind.VALUE_OUTPUT, Expert.NONE);
    static final ScalePair MLP_NORM = new ScalePair(Kind.MLP_NORM, Expert.NONE);

    enum Kind {
        ATTENTION_NORM(LinearInput.QKV, LayerNorm.ATTENTION_IN),
        /** Of a layer whose attention and MLP read one norm: all five linears have its scale. */
        PARALLEL_NORM(LinearInput.QKV, LayerNorm.ATTENTION_IN),
        QUERY_NORM(LinearInput.QUERY_LATENT, LayerNorm.QUERY_LATENT),
        KEY_VALUE_NORM(LinearInput.KEY_VALUE_LATENT, LayerNorm.KEY_VALUE_LATENT),
        VALUE_OUTPUT(LinearInput.O, null),
        MLP_NORM(LinearInput.GATE_UP, LayerNorm.MLP_IN),
        UP_DOWN(LinearInput.DOWN, null);

        private final LinearInput input;
        private final @Nullable LayerNorm norm;

        Kind(LinearInput input, @Nullable LayerNorm norm) {
            this.input = input;
            this.norm = norm;
        }
    }

    /** The pair of an expert's up and down, or of those of a layer without experts. */
    static ScalePair upDown(Expert expert) {
        return new ScalePair(Kind.UP_DOWN, expert);
    }

    /**
     * The pairs of a layer of these linears, in the order in which they are searched.
     *
     * @param parallel whether attention and MLP read one norm
     */
    static List<ScalePair> of(Collection<LayerLinear> linears, boolean parallel) {
        return linears.stream()
                .map(linear -> reading(linear, parallel))
                .distinct()
                .sorted()
                .toList();
    }

    /** What a report calls it; where a model has no such norm, that is said. */
    String label(Architecture architecture, Collection<LayerLinear> linears) {
        LayerLinear producer = producer(linears);
        String from = producer == null
                ? architecture.norms().getOrDefault(norm().orElseThrow(), "no norm")
                : producer.linear().path();
        String to = readers(linears).stream()
                .map(reader -> last(reader.linear().path()))
                .distinct()
                .collect(Collectors.joining(", "));
        return last(from) + " -> " + to + (expert.isPart() ? " of " + expert : "");
    }

    private static String last(String path) {
        return path.substring(path.lastIndexOf('.') + 1);
    }

    LinearInput input() {
        return kind.input;
    }

    /** The norm that the scale is divided out of; empty where a linear's rows are. */
    Optional<LayerNorm> norm() {
        return Optional.ofNullable(kind.norm);
    }

    /**
     * The linears whose columns are multiplied by the scale.
     *
     * @param linears of the layer
     */
    List<LayerLinear> readers(Collection<LayerLinear> linears) {
        boolean parallel = kind == Kind.PARALLEL_NORM;
        return linears.stream()
                .filter(linear -> reading(linear, parallel).equals(this))
                .toList();
    }

    /**
     * The linear whose rows are divided by the scale, or null where a norm is.
     *
     * @param linears of the layer
     */
    @Nullable
    LayerLinear producer(Collection<LayerLinear> linears) {
        return switch (kind) {
            case ATTENTION_NORM, PARALLEL_NORM, QUERY_NORM, KEY_VALUE_NORM, MLP_NORM -> null;
            case VALUE_OUTPUT -> {
                LayerLinear value = LayerLinear.of(Linear.V);
                yield linears.contains(value) ? value : LayerLinear.of(Linear.KV_B);
            }
            case UP_DOWN -> new LayerLinear(Linear.UP, expert);
        };
    }

    /** The pair whose scale multiplies the columns of this linear. */
    static ScalePair reading(LayerLinear linear, boolean parallel) {
        if (parallel && (linear.input() == LinearInput.QKV || linear.input() == LinearInput.GATE_UP)) {
            return new ScalePair(Kind.PARALLEL_NORM, Expert.NONE);
        }
        for (Kind kind : Kind.values()) {
            if (kind.input == linear.input()) {
                return new ScalePair(kind, kind == Kind.UP_DOWN ? linear.expert() : Expert.NONE);
            }
        }
        throw new IllegalArgumentException("no pair of " + linear);
    }

    @Override
    public int compareTo(ScalePair other) {
        int byKind = kind.compareTo(other.kind);
        int mine = expert.equals(Expert.SHARED) ? Integer.MAX_VALUE : expert.index();
        int its = other.expert.equals(Expert.SHARED) ? Integer.MAX_VALUE : other.expert.index();
        return byKind != 0 ? byKind : Integer.compare(mine, its);
    }
}
