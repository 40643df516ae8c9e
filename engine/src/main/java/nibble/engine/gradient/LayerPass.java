package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.Halves;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * A decoder layer forwards, as {@link nibble.engine.forward.Forward} has it, and backwards, over whole sequences of
 * one length.
 * Owns the gradients inside a layer.
 */
final class LayerPass implements AutoCloseable {
    private final ModelConfig config;
    private final GradientOperations operations;
    private final LayerOperations forward;
    private final AttentionShape heads;
    private final int sequences;
    /** Whether attention and MLP read one norm, and are added together. */
    private final boolean parallel;
    /** Whether norms of the residual stream subtract the mean. */
    private final boolean centers;
    /** Where queries and keys come from in rows of their linears, and back; null where they stay. */
    private final @Nullable Halves halves;

    private final @Nullable Halves neighbours;
    /** Tables of each rope of the model; the ones that turn gradients back beside them. */
    private final Map<Rope, Turns> turns = new HashMap<>();

    private record Turns(RotaryTable table, RotaryTable back) {}

    /** Gradients of what the tape's matrices of these extents hold. */
    private final Matrix dHidden;

    private final Matrix dQuery;
    private final Matrix dKey;
    private final Matrix dValue;
    private final Matrix dAttended;
    private final Matrix dGate;
    private final Matrix dUp;
    /** Of keys as their linear gives them; nothing where they stay. */
    private final Matrix dMadeKey;
    /** Of what o and down gave; in the forward pass what their norms gave. */
    private final Matrix dOutput;

    LayerPass(ModelConfig config, GradientOperations operations, int sequences, int length) {
        DivergencePass.lacks(config).ifPresent(what -> {
            throw new IllegalArgumentException("no gradients of " + what);
        });
        this.config = config;
        this.operations = operations;
        this.forward = operations.layers();
        this.heads = AttentionShape.of(config);
        this.sequences = sequences;
        this.parallel = config.architecture().isParallel();
        this.centers = config.architecture().centersNorms();
        this.halves = config.architecture().turnsNeighbours() ? Halves.of(config) : null;
        this.neighbours = halves == null ? null : halves.inverse();
        for (LayerAttention layer : config.attention()) {
            layer.rope()
                    .ifPresent(rope -> turns.computeIfAbsent(rope, r -> {
                        RotaryTable table = RotaryTable.of(config, r, length, length);
                        return new Turns(table, table.transposed());
                    }));
        }
        int rows = sequences * length;
        this.dHidden = forward.allocate(rows, config.hiddenSize());
        this.dQuery = forward.allocate(rows, heads.queryColumns());
        this.dKey = forward.allocate(rows, heads.keyColumns());
        this.dValue = forward.allocate(rows, heads.keyColumns());
        this.dAttended = forward.allocate(rows, heads.queryColumns());
        this.dGate = forward.allocate(rows, config.intermediateSize());
        this.dUp = forward.allocate(rows, config.intermediateSize());
        this.dMadeKey = forward.allocate(halves == null ? 1 : rows, heads.keyColumns());
        boolean behind = config.norm(LayerNorm.ATTENTION_OUT, 0).isPresent();
        this.dOutput = forward.allocate(behind ? rows : 1, config.hiddenSize());
    }

    /** Runs the layer and keeps on the tape what {@link #backward} needs; {@code hidden} is changed in place. */
    void forward(LayerWeights layer, Matrix hidden, LayerTape tape) {
        int rows = hidden.rows();
        TunedLayer tuned = layer.tuned();
        norm(hidden, tuned.norm(LayerNorm.ATTENTION_IN), tape.input, tape.attentionInput);
        // Gradients have no use yet.
        Matrix madeQuery = halves == null ? tape.query : dQuery;
        Matrix madeKey = halves == null ? tape.key : dKey;
        forward.linears(
                List.of(layer.weight(Linear.Q), layer.weight(Linear.K), layer.weight(Linear.V)),
                tape.attentionInput,
                List.of(madeQuery, madeKey, tape.value));
        addBias(tuned, Linear.Q, madeQuery);
        addBias(tuned, Linear.K, madeKey);
        addBias(tuned, Linear.V, tape.value);
        if (halves != null) {
            forward.gatherColumns(madeQuery, halves.query(), tape.query);
            forward.gatherColumns(madeKey, halves.key(), tape.key);
        }
        tuned.headNorms().ifPresent(norms -> {
            forward.copyRows(tape.query, 0, rows, Objects.requireNonNull(tape.rawQuery), 0);
            forward.copyRows(tape.key, 0, rows, Objects.requireNonNull(tape.rawKey), 0);
            operations.rmsNormHeads(tape.query, norms.query(), config.rmsNormEps());
            operations.rmsNormHeads(tape.key, norms.key(), config.rmsNormEps());
        });
        LayerAttention attention = config.attention(layer.index());
        attention.rope().map(turns::get).ifPresent(found -> {
            forward.rope(tape.query, heads.headDim(), found.table(), sequences, 0);
            forward.rope(tape.key, heads.headDim(), found.table(), sequences, 0);
        });
        AttentionShape shape = AttentionShape.of(config, attention);
        forward.attention(shape, sequences, tape.query, 0, tape.key, tape.value, tape.attended);
        add(layer, Linear.O, tape.attended, LayerNorm.ATTENTION_OUT, tape.attentionOutput, hidden);
        if (!parallel) {
            norm(hidden, tuned.norm(LayerNorm.MLP_IN), tape.middle, tape.mlpInput);
        }
        forward.linears(
                List.of(layer.weight(Linear.GATE), layer.weight(Linear.UP)),
                mlpInput(tape),
                List.of(tape.gate, tape.up));
        addBias(tuned, Linear.GATE, tape.gate);
        addBias(tuned, Linear.UP, tape.up);
        forward.glu(config.architecture().activation(), tape.gate, tape.up, tape.activated);
        add(layer, Linear.DOWN, tape.activated, LayerNorm.MLP_OUT, tape.mlpOutput, hidden);
    }

    private Matrix mlpInput(LayerTape tape) {
        return parallel ? tape.attentionInput : tape.mlpInput;
    }

    /** Of the residual stream, if there is such a norm; what goes into it is kept, without its mean if norms do so. */
    private void norm(Matrix hidden, @Nullable Parameter gain, Matrix kept, Matrix out) {
        forward.copyRows(hidden, 0, hidden.rows(), kept, 0);
        if (gain == null) {
            forward.copyRows(hidden, 0, hidden.rows(), out, 0);
            return;
        }
        if (centers) {
            operations.center(kept);
        }
        operations.rmsNorm(kept, gain, config.streamNormEps(), out);
    }

    /** Adds what a linear gives to the residual stream, through the norm behind it if there is one. */
    private void add(
            LayerWeights layer, Linear linear, Matrix x, LayerNorm behind, @Nullable Matrix output, Matrix hidden) {
        TunedLayer tuned = layer.tuned();
        Parameter gain = tuned.norm(behind);
        if (gain == null || output == null) {
            forward.addLinear(layer.weight(linear), x, hidden);
            addBias(tuned, linear, hidden);
            return;
        }
        forward.linear(layer.weight(linear), x, output);
        addBias(tuned, linear, output);
        operations.rmsNorm(output, gain, config.rmsNormEps(), dOutput);
        forward.add(dOutput, hidden);
    }

    /** The gradient of what a linear gave, of the gradient of the residual stream that it was added to. */
    private Matrix behind(TunedLayer tuned, LayerNorm behind, @Nullable Matrix output, Matrix gradient) {
        Parameter gain = tuned.norm(behind);
        if (gain == null || output == null) {
            return gradient;
        }
        forward.copyRows(gradient, 0, gradient.rows(), dOutput, 0);
        // One norm a row: the gain is as wide as the matrix.
        operations.rmsNormHeadsBack(output, gain, config.rmsNormEps(), dOutput);
        return dOutput;
    }

    private void addBias(TunedLayer tuned, Linear linear, Matrix into) {
        float[] bias = tuned.biases().get(linear);
        if (bias != null) {
            forward.addBias(bias, into);
        }
    }

    /**
     * Turns the gradient of what the layer gave into that of what went in, and adds those of its parameters.
     *
     * @param layer as in the forward pass
     * @param gradient changed in place
     */
    void backward(LayerWeights layer, LayerTape tape, Matrix gradient) {
        TunedLayer tuned = layer.tuned();
        Matrix dDown = behind(tuned, LayerNorm.MLP_OUT, tape.mlpOutput, gradient);
        addScales(layer, Linear.DOWN, dDown, tape.activated);
        operations.linears(List.of(layer.weight(Linear.DOWN)), List.of(dDown), dGate);
        operations.glu(config.architecture().activation(), tape.gate, tape.up, dGate, dGate, dUp);
        addScales(layer, Linear.GATE, dGate, mlpInput(tape));
        addScales(layer, Linear.UP, dUp, mlpInput(tape));
        if (!parallel) {
            operations.linears(
                    List.of(layer.weight(Linear.GATE), layer.weight(Linear.UP)), List.of(dGate, dUp), dHidden);
            addNorm(tape.middle, tuned.norm(LayerNorm.MLP_IN), gradient);
        }

        Matrix dO = behind(tuned, LayerNorm.ATTENTION_OUT, tape.attentionOutput, gradient);
        addScales(layer, Linear.O, dO, tape.attended);
        operations.linears(List.of(layer.weight(Linear.O)), List.of(dO), dAttended);
        LayerAttention attention = config.attention(layer.index());
        operations.attention(
                AttentionShape.of(config, attention),
                sequences,
                new AttentionPass(tape.query, tape.key, tape.value, tape.attended, dAttended, dQuery, dKey, dValue));
        attention.rope().map(turns::get).ifPresent(found -> {
            forward.rope(dQuery, heads.headDim(), found.back(), sequences, 0);
            forward.rope(dKey, heads.headDim(), found.back(), sequences, 0);
        });
        tuned.headNorms().ifPresent(norms -> {
            addHeads(tape.rawQuery, norms.query(), dQuery);
            addHeads(tape.rawKey, norms.key(), dKey);
        });
        Matrix dMadeQuery = dQuery;
        Matrix dMade = dKey;
        if (neighbours != null) {
            // Attention's gradient has the extents of queries, and is used up.
            dMadeQuery = dAttended;
            dMade = dMadeKey;
            forward.gatherColumns(dQuery, neighbours.query(), dMadeQuery);
            forward.gatherColumns(dKey, neighbours.key(), dMade);
        }
        addScales(layer, Linear.Q, dMadeQuery, tape.attentionInput);
        addScales(layer, Linear.K, dMade, tape.attentionInput);
        addScales(layer, Linear.V, dValue, tape.attentionInput);
        List<Linear> readers = new ArrayList<>(List.of(Linear.Q, Linear.K, Linear.V));
        List<Matrix> gradients = new ArrayList<>(List.of(dMadeQuery, dMade, dValue));
        if (parallel) {
            readers.addAll(List.of(Linear.GATE, Linear.UP));
            gradients.addAll(List.of(dGate, dUp));
        }
        operations.linears(readers.stream().map(layer::weight).toList(), gradients, dHidden);
        addNorm(tape.input, tuned.norm(LayerNorm.ATTENTION_IN), gradient);
    }

    private void addScales(LayerWeights layer, Linear linear, Matrix dy, Matrix x) {
        TunedLayer tuned = layer.tuned();
        operations.addScales(
                layer.codes(linear),
                dy,
                x,
                tuned.scales(linear),
                tuned.positions().get(linear));
    }

    /** Of {@code dHidden}, the gradient of what the norm gave. */
    private void addNorm(Matrix x, @Nullable Parameter gain, Matrix gradient) {
        if (gain == null) {
            forward.add(dHidden, gradient);
            return;
        }
        if (!centers) {
            operations.addRmsNorm(x, gain, config.streamNormEps(), dHidden, gradient);
            return;
        }
        // One norm a row: the gain is as wide as the matrix.
        operations.rmsNormHeadsBack(x, gain, config.streamNormEps(), dHidden);
        operations.center(dHidden);
        forward.add(dHidden, gradient);
    }

    private void addHeads(@Nullable Matrix raw, Parameter gain, Matrix gradient) {
        operations.rmsNormHeadsBack(Objects.requireNonNull(raw), gain, config.rmsNormEps(), gradient);
    }

    @Override
    public void close() {
        for (Matrix matrix : List.of(dHidden, dQuery, dKey, dValue, dAttended, dGate, dUp, dMadeKey, dOutput)) {
            matrix.close();
        }
    }
}
