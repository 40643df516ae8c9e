package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.layer.LayerNorm;

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
        ATTENTION_NORM(LinearInput.QKV),
        VALUE_OUTPUT(LinearInput.O),
        MLP_NORM(LinearInput.GATE_UP),
        UP_DOWN(LinearInput.DOWN);

        private final LinearInput input;

        Kind(LinearInput input) {
            this.input = input;
        }
    }

    /** The pair of an expert's up and down, or of those of a layer without experts. */
    static ScalePair upDown(Expert expert) {
        return new ScalePair(Kind.UP_DOWN, expert);
    }

    /** The pairs of a layer, in the order in which they are searched. */
    static List<ScalePair> of(List<Expert> experts) {
        List<ScalePair> pairs = new ArrayList<>(List.of(ATTENTION_NORM, VALUE_OUTPUT, MLP_NORM));
        experts.forEach(expert -> pairs.add(upDown(expert)));
        return pairs;
    }

    /** What a report calls it; where a model has no such norm, that is said. */
    String label(Architecture architecture) {
        String label = switch (kind) {
            case ATTENTION_NORM -> norm(architecture, LayerNorm.ATTENTION_IN) + " -> q_proj, k_proj, v_proj";
            case VALUE_OUTPUT -> "v_proj -> o_proj";
            case MLP_NORM -> norm(architecture, LayerNorm.MLP_IN) + " -> gate_proj, up_proj";
            case UP_DOWN -> "up_proj -> down_proj";
        };
        return expert.isPart() ? label + " of " + expert : label;
    }

    private static String norm(Architecture architecture, LayerNorm norm) {
        return architecture.norms().getOrDefault(norm, "no norm");
    }

    LinearInput input() {
        return kind.input;
    }

    /**
     * The linears whose columns are multiplied by the scale.
     *
     * @param experts of the layer; {@link Expert#NONE} alone where there are none
     */
    List<LayerLinear> readers(List<Expert> experts) {
        return switch (kind) {
            case ATTENTION_NORM, VALUE_OUTPUT ->
                input().readers().stream().map(LayerLinear::of).toList();
            case MLP_NORM ->
                experts.stream()
                        .flatMap(each -> input().readers().stream().map(linear -> new LayerLinear(linear, each)))
                        .toList();
            case UP_DOWN -> List.of(new LayerLinear(Linear.DOWN, expert));
        };
    }

    /** The linear whose rows are divided by the scale, or null where a norm is. */
    @org.jspecify.annotations.Nullable
    LayerLinear producer() {
        return switch (kind) {
            case ATTENTION_NORM, MLP_NORM -> null;
            case VALUE_OUTPUT -> LayerLinear.of(Linear.V);
            case UP_DOWN -> new LayerLinear(Linear.UP, expert);
        };
    }

    /** The pair whose scale multiplies the columns of this linear. */
    static ScalePair reading(LayerLinear linear) {
        return switch (linear.input()) {
            case QKV -> ATTENTION_NORM;
            case O -> VALUE_OUTPUT;
            case GATE_UP -> MLP_NORM;
            case DOWN -> upDown(linear.expert());
        };
    }

    @Override
    public int compareTo(ScalePair other) {
        int byKind = kind.compareTo(other.kind);
        int mine = expert.equals(Expert.SHARED) ? Integer.MAX_VALUE : expert.index();
        int its = other.expert.equals(Expert.SHARED) ? Integer.MAX_VALUE : other.expert.index();
        return byKind != 0 ? byKind : Integer.compare(mine, its);
    }
}
