package nibble.engine.gradient;

import java.util.List;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.tensor.Matrix;

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
    private final RotaryTable rotary;
    private final RotaryTable back;
    /** Gradients of what the tape's matrices of these extents hold. */
    private final Matrix dHidden;

    private final Matrix dQuery;
    private final Matrix dKey;
    private final Matrix dValue;
    private final Matrix dAttended;
    private final Matrix dGate;
    private final Matrix dUp;

    LayerPass(ModelConfig config, GradientOperations operations, int sequences, int length) {
        this.config = config;
        this.operations = operations;
        this.forward = operations.layers();
        this.heads = AttentionShape.of(config, config.attention(0));
        this.sequences = sequences;
        this.rotary = RotaryTable.of(config, config.rope(), length, length);
        this.back = rotary.transposed();
        int rows = sequences * length;
        this.dHidden = forward.allocate(rows, config.hiddenSize());
        this.dQuery = forward.allocate(rows, heads.queryColumns());
        this.dKey = forward.allocate(rows, heads.keyColumns());
        this.dValue = forward.allocate(rows, heads.keyColumns());
        this.dAttended = forward.allocate(rows, heads.queryColumns());
        this.dGate = forward.allocate(rows, config.intermediateSize());
        this.dUp = forward.allocate(rows, config.intermediateSize());
    }

    /** Runs the layer and keeps on the tape what {@link #backward} needs; {@code hidden} is changed in place. */
    void forward(LayerWeights layer, Matrix hidden, LayerTape tape) {
        int rows = hidden.rows();
        TunedLayer tuned = layer.tuned();
        forward.copyRows(hidden, 0, rows, tape.input, 0);
        operations.rmsNorm(hidden, tuned.inputNorm(), config.streamNormEps(), tape.attentionInput);
        forward.linears(
                List.of(layer.weight(Linear.Q), layer.weight(Linear.K), layer.weight(Linear.V)),
                tape.attentionInput,
                List.of(tape.query, tape.key, tape.value));
        addBias(tuned, Linear.Q, tape.query);
        addBias(tuned, Linear.K, tape.key);
        addBias(tuned, Linear.V, tape.value);
        tuned.headNorms().ifPresent(norms -> {
            forward.copyRows(tape.query, 0, rows, java.util.Objects.requireNonNull(tape.rawQuery), 0);
            forward.copyRows(tape.key, 0, rows, java.util.Objects.requireNonNull(tape.rawKey), 0);
            operations.rmsNormHeads(tape.query, norms.query(), config.rmsNormEps());
            operations.rmsNormHeads(tape.key, norms.key(), config.rmsNormEps());
        });
        forward.rope(tape.query, heads.headDim(), rotary, sequences, 0);
        forward.rope(tape.key, heads.headDim(), rotary, sequences, 0);
        forward.attention(heads, sequences, tape.query, 0, tape.key, tape.value, tape.attended);
        forward.addLinear(layer.weight(Linear.O), tape.attended, hidden);
        addBias(tuned, Linear.O, hidden);
        forward.copyRows(hidden, 0, rows, tape.middle, 0);
        operations.rmsNorm(hidden, tuned.postAttentionNorm(), config.streamNormEps(), tape.mlpInput);
        forward.linears(
                List.of(layer.weight(Linear.GATE), layer.weight(Linear.UP)),
                tape.mlpInput,
                List.of(tape.gate, tape.up));
        forward.glu(config.architecture().activation(), tape.gate, tape.up, tape.activated);
        forward.addLinear(layer.weight(Linear.DOWN), tape.activated, hidden);
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
        addScales(layer, Linear.DOWN, gradient, tape.activated);
        operations.linears(List.of(layer.weight(Linear.DOWN)), List.of(gradient), dGate);
        operations.glu(config.architecture().activation(), tape.gate, tape.up, dGate, dGate, dUp);
        addScales(layer, Linear.GATE, dGate, tape.mlpInput);
        addScales(layer, Linear.UP, dUp, tape.mlpInput);
        operations.linears(List.of(layer.weight(Linear.GATE), layer.weight(Linear.UP)), List.of(dGate, dUp), dHidden);
        addNorm(tape.middle, tuned.postAttentionNorm(), gradient);

        addScales(layer, Linear.O, gradient, tape.attended);
        operations.linears(List.of(layer.weight(Linear.O)), List.of(gradient), dAttended);
        operations.attention(
                heads,
                sequences,
                new AttentionPass(tape.query, tape.key, tape.value, tape.attended, dAttended, dQuery, dKey, dValue));
        forward.rope(dQuery, heads.headDim(), back, sequences, 0);
        forward.rope(dKey, heads.headDim(), back, sequences, 0);
        tuned.headNorms().ifPresent(norms -> {
            addHeads(tape.rawQuery, norms.query(), dQuery);
            addHeads(tape.rawKey, norms.key(), dKey);
        });
        addScales(layer, Linear.Q, dQuery, tape.attentionInput);
        addScales(layer, Linear.K, dKey, tape.attentionInput);
        addScales(layer, Linear.V, dValue, tape.attentionInput);
        operations.linears(
                List.of(layer.weight(Linear.Q), layer.weight(Linear.K), layer.weight(Linear.V)),
                List.of(dQuery, dKey, dValue),
                dHidden);
        addNorm(tape.input, tuned.inputNorm(), gradient);
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
    private void addNorm(Matrix x, Parameter gain, Matrix gradient) {
        operations.addRmsNorm(x, gain, config.streamNormEps(), dHidden, gradient);
    }

    private void addHeads(@org.jspecify.annotations.Nullable Matrix raw, Parameter gain, Matrix gradient) {
        operations.rmsNormHeadsBack(java.util.Objects.requireNonNull(raw), gain, config.rmsNormEps(), gradient);
    }

    @Override
    public void close() {
        for (Matrix matrix : List.of(dHidden, dQuery, dKey, dValue, dAttended, dGate, dUp)) {
            matrix.close();
        }
    }
}
