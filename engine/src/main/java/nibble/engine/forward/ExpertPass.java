package nibble.engine.forward;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.Weight;

/**
 * Runs a layer's experts: the rows of each are brought together, multiplied by its weights alone, and added to the
 * residual stream with the weights that the router gave.
 *
 * <pre>
 * h += Σ_e p_e down_e(silu(gate_e(m)) * up_e(m))  [+ sigmoid(gate(m)) shared(m)]     m = post_attention_layernorm(h)
 * </pre>
 *
 * <p>Some models multiply what goes into an expert in the place of what comes out ({@link
 * nibble.checkpoint.model.Experts.Choice#scalesInputs}).
 *
 * <p>The sum of a row has the order of the experts' numbers, whatever rows are beside it.
 */
public final class ExpertPass {
    private final Experts config;
    private final Activation activation;
    private final Backend backend;

    ExpertPass(Experts config, Activation activation, Backend backend) {
        this.config = config;
        this.activation = activation;
        this.backend = backend;
    }

    /**
     * Adds the experts' outputs to {@code hidden}.
     *
     * @param normed what goes into router and experts, [rows, hidden]
     */
    void run(ExpertMlps layer, Matrix normed, Matrix hidden, Taps taps) {
        Routing routing = route(layer, normed);
        int tokens = normed.rows();
        try (Matrix products = backend.allocate(tokens * config.chosen(), normed.columns())) {
            int[] places = new int[tokens * config.chosen()];
            int[] next = new int[tokens];
            int done = 0;
            int[][] rows = routing.rows(config.count());
            for (int index = 0; index < config.count(); index++) {
                Expert expert = new Expert(index);
                if (rows[index].length > 0) {
                    try (Matrix input = input(routing.inputs(), expert, normed, rows[index])) {
                        expert(layer.of(expert), expert, input, taps, Optional.of(products), done);
                    }
                }
                for (int row : rows[index]) {
                    places[row * config.chosen() + next[row]++] = done++;
                }
                int[] more = taps.more(expert, rows[index], tokens);
                if (more.length > 0) {
                    try (Matrix input = input(routing.inputs(), expert, normed, more)) {
                        expert(layer.of(expert), expert, input, taps, Optional.empty(), 0);
                    }
                }
            }
            backend.mixRows(products, places, routing.weights(), hidden);
        }
        layer.shared().ifPresent(shared -> shared(shared, layer.sharedGate(), normed, hidden, taps));
    }

    /**
     * Returns, for each routed expert, the rows that the router sends to it, ascending.
     *
     * @param normed what goes into the router, [rows, hidden]
     */
    public int[][] routed(ExpertMlps layer, Matrix normed) {
        return route(layer, normed).rows(config.count());
    }

    /**
     * Returns what multiplies the input of each routed expert, [rows * experts]; empty where nothing does.
     *
     * @param normed what goes into the router, [rows, hidden]
     */
    public float[] inputFactors(ExpertMlps layer, Matrix normed) {
        return config.choice().scalesInputs() ? route(layer, normed).inputs() : new float[0];
    }

    /**
     * Returns what goes into an expert's gate and up for some rows; the caller closes it.
     *
     * @param factors as {@link #inputFactors} gives them for {@code normed}
     */
    public Matrix input(float[] factors, Expert expert, Matrix normed, int[] rows) {
        Matrix input = backend.allocate(rows.length, normed.columns());
        try {
            if (factors.length == 0 || !expert.isRouted()) {
                backend.gatherRows(normed, rows, input);
                return input;
            }
            float[] own = new float[rows.length];
            for (int i = 0; i < rows.length; i++) {
                own[i] = factors[rows[i] * config.count() + expert.index()];
            }
            backend.mixRows(normed, rows, own, input);
            return input;
        } catch (RuntimeException e) {
            input.close();
            throw e;
        }
    }

    /** Returns what goes into an expert's down for the rows of {@code input}; the caller closes it. */
    public Matrix intoDown(ExpertMlps layer, Expert expert, Matrix input) {
        return activated(layer.of(expert), expert, input, Taps.NONE);
    }

    private Routing route(ExpertMlps layer, Matrix normed) {
        try (Matrix logits = backend.allocateSingle(normed.rows(), config.count())) {
            backend.linear(layer.router(), normed, logits);
            return Routing.of(config, backend.download(logits), layer.routerBias());
        }
    }

    /** Puts the outputs of some rows into {@code products}, from row {@code first} on, if they are wanted. */
    private void expert(Mlp mlp, Expert expert, Matrix input, Taps taps, Optional<Matrix> products, int first) {
        try (Matrix activated = activated(mlp, expert, input, taps)) {
            if (products.isPresent()) {
                // The rows of the input are not needed any more.
                backend.linear(mlp.down(), activated, input);
                addBias(mlp, Linear.DOWN, input);
                backend.copyRows(input, 0, input.rows(), products.get(), first);
            }
        }
    }

    private Matrix activated(Mlp mlp, Expert expert, Matrix input, Taps taps) {
        int width = config.width(expert);
        taps.tap(LinearInput.GATE_UP, expert, input);
        Matrix gate = backend.allocate(input.rows(), width);
        try {
            try (Matrix up = backend.allocate(input.rows(), width)) {
                backend.linears(List.of(mlp.gate(), mlp.up()), input, List.of(gate, up));
                addBias(mlp, Linear.GATE, gate);
                addBias(mlp, Linear.UP, up);
                backend.glu(activation, gate, up, gate);
            }
            taps.tap(LinearInput.DOWN, expert, gate);
            return gate;
        } catch (RuntimeException e) {
            gate.close();
            throw e;
        }
    }

    private void addBias(Mlp mlp, Linear linear, Matrix into) {
        float[] bias = mlp.biases().get(linear);
        if (bias != null) {
            backend.addBias(bias, into);
        }
    }

    private void shared(Mlp mlp, Optional<Weight> gate, Matrix normed, Matrix hidden, Taps taps) {
        int[] rows = IntStream.range(0, normed.rows()).toArray();
        float[] weights = new float[rows.length];
        Arrays.fill(weights, 1f);
        if (gate.isPresent()) {
            try (Matrix logits = backend.allocateSingle(rows.length, 1)) {
                backend.linear(gate.get(), normed, logits);
                weights = backend.download(logits);
                for (int i = 0; i < weights.length; i++) {
                    weights[i] = (float) Routing.sigmoid(weights[i]);
                }
            }
        }
        try (Matrix activated = activated(mlp, Expert.SHARED, normed, taps);
                Matrix product = backend.allocate(rows.length, normed.columns())) {
            backend.linear(mlp.down(), activated, product);
            addBias(mlp, Linear.DOWN, product);
            backend.mixRows(product, rows, weights, hidden);
        }
    }
}
