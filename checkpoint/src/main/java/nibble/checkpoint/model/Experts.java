package nibble.checkpoint.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Describes the mixture of experts that most layers of a model have in the place of an MLP. A router scores all experts
 * for a token; the token passes those with the best scores, and their outputs are added with the scores as weights.
 *
 * @param count experts that the router chooses from
 * @param chosen experts that a token passes
 * @param width of a routed expert
 * @param choice how the router's scores choose and weigh experts
 * @param shared the expert that every token passes
 * @param denseLayers layers with one MLP, of the model's {@code intermediate_size}
 * @param names of the tensors
 * @param biased whether router and experts have biases
 */
public record Experts(
        int count,
        int chosen,
        int width,
        Choice choice,
        Shared shared,
        Set<Integer> denseLayers,
        Names names,
        boolean biased) {

    /** Experts of a layer: far above any model. */
    public static final int MOST = 1 << 14;

    /** Experts of all layers: five times those of the largest models, few enough to list the tensors of each. */
    public static final int MOST_OF_ALL_LAYERS = 1 << 17;

    /**
     * Describes how scores choose experts, and what weighs their outputs: softmax of the scores over all experts.
     *
     * @param normalized whether the weights of the chosen ones are brought to a sum of 1
     * @param factor of the weights, when they are else what they should be
     * @param groups of experts that follow one another, all of one size; 1 where all are in one
     * @param chosenGroups groups that a token's experts are taken from, those with the best experts
     * @param margin of Phi-3.5-MoE's sparse mixer, which weighs each of the two chosen in a softmax of its own: over
     *     the experts, but those chosen before it, whose scores are lower by at most this share; negative for none
     * @param corrected DeepSeek-V3's way: scores are sigmoids, and the router has a bias that is added to them where
     *     experts are chosen, not in their weights. The best groups have the largest sums of their two best scores
     * @param scalesInputs Llama 4's way: the sigmoid of an expert's score multiplies what goes into it, and its output
     *     is added as it is
     */
    public record Choice(
            boolean normalized,
            double factor,
            int groups,
            int chosenGroups,
            double margin,
            boolean corrected,
            boolean scalesInputs) {
        /** Phi-3.5-MoE's margin where its config does not say: twice the noise of its training. */
        public static final double PHI_MARGIN = 0.02;

        /** Chooses without a sparse mixer. */
        Choice(boolean normalized, double factor, int groups, int chosenGroups) {
            this(normalized, factor, groups, chosenGroups, -1, false, false);
        }

        /** Chooses by sigmoids with a bias. */
        static Choice corrected(boolean normalized, double factor, int groups, int chosenGroups) {
            return new Choice(normalized, factor, groups, chosenGroups, -1, true, false);
        }

        /** Chooses with a sparse mixer of this margin, 0 or more. */
        public static Choice mixed(double margin) {
            return new Choice(false, 1, 1, 1, margin, false, false);
        }

        /** Chooses of all experts, whose inputs are multiplied by the sigmoids of their scores. */
        static Choice ofInputs() {
            return new Choice(false, 1, 1, 1, -1, false, true);
        }

        /** Returns whether a sparse mixer weighs the chosen. */
        public boolean mixes() {
            return margin >= 0;
        }

        /** Chooses of all experts, with weights as softmax gives them or with the sum 1. */
        public static Choice ofAll(boolean normalized) {
            return new Choice(normalized, 1, 1, 1);
        }
    }

    /**
     * Describes the shared expert.
     *
     * @param width 0 where there is none
     * @param gated whether its output is multiplied by the sigmoid of a number that a gate [1, hidden] gives
     */
    public record Shared(int width, boolean gated) {
        /** There is none. */
        public static final Shared NONE = new Shared(0, false);

        public boolean exists() {
            return width > 0;
        }
    }

    /**
     * Names modules inside a decoder layer.
     *
     * @param router its weight is [experts, hidden]
     * @param experts stands before the expert's number
     * @param gate inside an expert; {@code up} and {@code down} likewise
     * @param shared the shared expert
     * @param sharedGate its gate
     */
    public record Names(
            String router, String experts, String gate, String up, String down, String shared, String sharedGate) {
        /** Qwen's, and those of most others. */
        public static final Names QWEN = new Names(
                "mlp.gate",
                "mlp.experts",
                "gate_proj",
                "up_proj",
                "down_proj",
                "mlp.shared_expert",
                "mlp.shared_expert_gate");

        /** DeepSeek's, whose shared experts are one without a gate. */
        public static final Names DEEPSEEK =
                new Names("mlp.gate", "mlp.experts", "gate_proj", "up_proj", "down_proj", "mlp.shared_experts", "");

        /** Mixtral's, which has no shared expert. */
        public static final Names MIXTRAL =
                new Names("block_sparse_moe.gate", "block_sparse_moe.experts", "w1", "w3", "w2", "", "");

        /** gpt-oss's, which has no shared expert. */
        public static final Names GPT_OSS =
                new Names("mlp.router", "mlp.experts", "gate_proj", "up_proj", "down_proj", "", "");

        /** Llama 4's, whose shared expert has no gate. */
        public static final Names LLAMA4 = new Names(
                "feed_forward.router",
                "feed_forward.experts",
                "gate_proj",
                "up_proj",
                "down_proj",
                "feed_forward.shared_expert",
                "");

        /** Returns whether files have the experts of a layer together, each matrix transposed. */
        public boolean areTransposed() {
            return equals(GPT_OSS) || equals(LLAMA4);
        }

        /** Returns the path of a linear of an expert inside its decoder layer. */
        public String path(Linear linear, Expert expert) {
            if (!expert.isRouted()) {
                return shared + linear.path().substring(linear.path().indexOf('.'));
            }
            String name = switch (linear) {
                case GATE -> gate;
                case UP -> up;
                case DOWN -> down;
                case Q, Q_A, Q_B, K, V, KV_A, KV_B, O ->
                    throw new IllegalArgumentException(linear + " is not part of an expert");
            };
            return experts + "." + expert.index() + "." + name;
        }
    }

    /**
     * Says where a linear of an expert lies in a matrix [in, all] that files have for it, transposed: column r of the
     * linear's rows is column {@code step * r + first}.
     *
     * @param all columns of that matrix
     */
    public record Columns(int first, int step, int all) {}

    public Experts {
        denseLayers = Set.copyOf(denseLayers);
    }

    /** Describes experts without biases. */
    Experts(int count, int chosen, int width, Choice choice, Shared shared, Set<Integer> denseLayers, Names names) {
        this(count, chosen, width, choice, shared, denseLayers, names, false);
    }

    /** Returns these experts with biases of the router and of each linear. */
    Experts withBiases() {
        return new Experts(count, chosen, width, choice, shared, denseLayers, names, true);
    }

    /** Returns whether a layer has experts. */
    public boolean in(int layer) {
        return !denseLayers.contains(layer);
    }

    /** Returns the experts of a layer in order: the routed ones, then the shared one if there is one. */
    public List<Expert> all() {
        List<Expert> all =
                new ArrayList<>(IntStream.range(0, count).mapToObj(Expert::new).toList());
        if (shared.exists()) {
            all.add(Expert.SHARED);
        }
        return all;
    }

    /** Returns the width of an expert. */
    public int width(Expert expert) {
        return expert.isRouted() ? width : shared.width();
    }

    /** Returns the linears of a layer's experts as they are stored, in canonical order. */
    public List<LinearModule> modules() {
        return all().stream().flatMap(expert -> modules(expert).stream()).toList();
    }

    /** Returns the linears of one expert. */
    public List<LinearModule> modules(Expert expert) {
        return LinearModule.MLP.stream()
                .map(linear -> new LinearModule(names.path(linear, expert), List.of(linear), expert))
                .toList();
    }

    /**
     * Returns where a linear lies in files that have experts together and transposed ({@link Names#areTransposed}).
     * Gate and up share a matrix.
     *
     * @param rows of the linear
     */
    public Columns columns(Linear linear, int rows) {
        if (linear == Linear.DOWN) {
            return new Columns(0, 1, rows);
        }
        boolean turns = names.equals(Names.GPT_OSS);
        int first = linear == Linear.GATE ? 0 : turns ? 1 : rows;
        return new Columns(first, turns ? 2 : 1, Math.multiplyExact(2, rows));
    }

    /** Names the tensor of such a file that has a linear of all experts: [experts, in, {@link Columns#all}]. */
    public String together(Linear linear, int layer) {
        return TensorNames.layer(layer) + names.experts() + (linear == Linear.DOWN ? ".down_proj" : ".gate_up_proj");
    }

    /** Names the router's weight, [experts, hidden]. */
    public String router(int layer) {
        return TensorNames.layer(layer) + names.router() + ".weight";
    }

    /** Returns whether the router has a bias. */
    public boolean hasRouterBias() {
        return biased || choice.corrected();
    }

    /** Names the router's bias, [experts]. */
    public String routerBias(int layer) {
        return TensorNames.layer(layer) + names.router() + (choice.corrected() ? TensorNames.CORRECTION : ".bias");
    }

    /** Names the weight of the shared expert's gate, [1, hidden]. */
    public String sharedGate(int layer) {
        return TensorNames.layer(layer) + names.sharedGate() + ".weight";
    }
}
