package nibble.calibrate.stream;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * Takes the blocks that are held back from the fit through both models, and judges linears by them. Borrows the
 * streams.
 */
public final class HeldBackStream {
    private final QuantizationDevices devices;
    private final CalibrationStream original;
    private final CalibrationStream quantized;

    HeldBackStream(QuantizationDevices devices, CalibrationStream original, CalibrationStream quantized) {
        this.devices = devices;
        this.original = original;
        this.quantized = quantized;
    }

    List<CalibrationStream> streams() {
        return List.of(original, quantized);
    }

    /**
     * Holds squared errors of a linear's output on the held-back tokens. An error is what the output lacks to the
     * original model's on its own stream; o and down, which add to the residual stream, have its error in theirs.
     *
     * @param fitted of the linear as fitted
     * @param rounded of another form of it
     * @param size of the original's output
     */
    public record Errors(double fitted, double rounded, double size) {}

    /**
     * Names a linear to be judged.
     *
     * @param rounded another form of it, on each device
     */
    public record Candidate(LayerLinear linear, List<Weight> rounded) {}

    /** Returns how many tokens are held back. */
    public long tokens() {
        long tokens = 0;
        for (int i = 0; i < original.size(); i++) {
            tokens += original.tokens(i);
        }
        return tokens;
    }

    /**
     * Judges linears of one input.
     *
     * @param fp the original layer, on each device
     * @param made the layer with these linears as fitted, on each device
     * @return for each candidate
     */
    public List<Errors> errors(
            LinearInput input, List<DecoderLayer> fp, List<DecoderLayer> made, List<Candidate> candidates) {
        List<Errors> sums = new ArrayList<>(Collections.nCopies(candidates.size(), new Errors(0, 0, 0)));
        for (int i = 0; i < original.size(); i++) {
            int batch = i;
            int member = original.member(i);
            Backend backend = devices.members().get(member);
            original.use(batch, false, (forward, before, sequences) -> {
                Matrix x = forward.input(input, fp.get(member), before, sequences);
                quantized.use(batch, false, (other, after, _) -> {
                    Matrix y = other.input(input, made.get(member), after, sequences);
                    boolean behind = input == LinearInput.O || input == LinearInput.DOWN;
                    for (int c = 0; c < candidates.size(); c++) {
                        List<Weight> forms = forms(candidates.get(c), fp, made, member);
                        sums.set(c, add(sums.get(c), errors(backend, forms, x, y, behind ? before : null, after)));
                    }
                });
            });
        }
        original.release();
        quantized.release();
        return sums;
    }

    /**
     * Judges linears of experts of one input, each by the held-back tokens that the original's router sends to its
     * expert, filled up as those of the fit are. An error is what the linear's output lacks: the experts of a token
     * share what the residual stream lacks.
     *
     * @param input GATE_UP or DOWN
     * @param tokens counts anew
     * @return for each candidate
     */
    public List<Errors> expertErrors(
            LinearInput input,
            List<DecoderLayer> fp,
            List<DecoderLayer> made,
            List<Candidate> candidates,
            ExpertTokens tokens) {
        ExpertInputs inputs = new ExpertInputs(input, tokens);
        List<Errors> sums = new ArrayList<>(Collections.nCopies(candidates.size(), new Errors(0, 0, 0)));
        Map<Expert, List<Integer>> byExpert = IntStream.range(0, candidates.size())
                .boxed()
                .collect(Collectors.groupingBy(
                        c -> candidates.get(c).linear().expert(), LinkedHashMap::new, Collectors.toList()));
        for (int i = 0; i < original.size(); i++) {
            int batch = i;
            int member = original.member(i);
            Backend backend = devices.members().get(member);
            original.use(batch, false, (forward, before, sequences) -> {
                ExpertInputs.Side fpSide = ExpertInputs.Side.of(forward, fp.get(member), before, sequences);
                int[][] routed = inputs.routed(fpSide);
                quantized.use(batch, false, (other, after, _) -> {
                    ExpertInputs.Side madeSide = ExpertInputs.Side.of(other, made.get(member), after, sequences);
                    byExpert.forEach((expert, its) -> {
                        int[] rows = inputs.rows(expert, routed, before.rows());
                        inputs.use(expert, rows, fpSide, madeSide, (x, y) -> {
                            for (int c : its) {
                                List<Weight> forms = forms(candidates.get(c), fp, made, member);
                                sums.set(c, add(sums.get(c), errors(backend, forms, x, y, null, after)));
                            }
                        });
                    });
                });
            });
        }
        original.release();
        quantized.release();
        return sums;
    }

    /** The original weight, the fitted one and the other. */
    private static List<Weight> forms(Candidate candidate, List<DecoderLayer> fp, List<DecoderLayer> made, int member) {
        LayerLinear linear = candidate.linear();
        return List.of(
                fp.get(member).weight(linear.linear(), linear.expert()),
                made.get(member).weight(linear.linear(), linear.expert()),
                candidate.rounded().get(member));
    }

    private static Errors add(Errors a, Errors b) {
        return new Errors(a.fitted + b.fitted, a.rounded + b.rounded, a.size + b.size);
    }

    /**
     * @param forms the original weight, the fitted one and the other
     * @param before the original's residual stream, if its error counts
     */
    private static Errors errors(
            Backend backend, List<Weight> forms, Matrix x, Matrix y, @Nullable Matrix before, Matrix after) {
        int out = forms.getFirst().outFeatures();
        try (Matrix wanted = backend.allocate(x.rows(), out);
                Matrix found = backend.allocate(x.rows(), out)) {
            backend.linear(forms.get(0), x, wanted);
            double size = backend.squares(wanted);
            if (before != null) {
                backend.subtract(before, after, found);
                backend.add(found, wanted);
            }
            double[] errors = new double[2];
            for (int form = 0; form < 2; form++) {
                backend.linear(forms.get(1 + form), y, found);
                backend.subtract(wanted, found, found);
                errors[form] = backend.squares(found);
            }
            return new Errors(errors[0], errors[1], size);
        }
    }

    /** Moves both streams through the attention half of a layer. */
    public void attention(List<DecoderLayer> fp, List<DecoderLayer> made) {
        move(original, fp, true);
        move(quantized, made, true);
    }

    /** Moves both streams through the MLP half of a layer. */
    public void mlp(List<DecoderLayer> fp, List<DecoderLayer> made) {
        move(original, fp, false);
        move(quantized, made, false);
    }

    private static void move(CalibrationStream stream, List<DecoderLayer> layers, boolean attention) {
        for (int i = 0; i < stream.size(); i++) {
            DecoderLayer layer = layers.get(stream.member(i));
            stream.use(i, true, (forward, hidden, sequences) -> {
                if (attention) {
                    forward.attention(layer, hidden, sequences, Taps.NONE);
                } else {
                    forward.mlp(layer, hidden, sequences);
                }
            });
        }
        stream.release();
    }
}
