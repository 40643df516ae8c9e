package nibble.calibrate.search;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Supplier;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.stream.ExpertTokens;
import nibble.calibrate.stream.LinearInputs;
import nibble.calibrate.stream.PairedStream;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;

/**
 * Makes the moments of an input of a layer's experts, of some experts at a time, and closes them after their use.
 *
 * @param input GATE_UP or DOWN
 * @param original the layer, on each device
 * @param soFar the layer with what is quantized of it, on each device
 */
record ExpertMoments(
        PairedStream stream,
        LinearInput input,
        List<DecoderLayer> original,
        List<DecoderLayer> soFar,
        WorkProgress progress) {
    /**
     * Lends the moments of a turn's experts.
     *
     * @param tokens counts those of these experts
     * @param last whether this is the last turn, after which the original's stream moves on where the input is DOWN's
     */
    void with(List<Expert> turn, ExpertTokens tokens, boolean last, Consumer<LinearInputs<PairedMoments>> use) {
        Map<Expert, PairedMoments> moments = progress.during(
                Stage.MOMENTS,
                () -> stream.expertMoments(
                        input,
                        original,
                        soFar,
                        turn,
                        tokens,
                        last && input == LinearInput.DOWN,
                        more -> progress.forwarded(last ? more : 0, 0)));
        try {
            use.accept((names, each) ->
                    names.forEach(name -> each.accept(name, Objects.requireNonNull(moments.get(name.expert())))));
        } finally {
            moments.values().forEach(PairedMoments::close);
        }
    }

    /**
     * Returns inputs for which all turns are taken whenever they are asked for.
     *
     * @param tokens begins to count those of all experts
     */
    LinearInputs<PairedMoments> inTurns(List<List<Expert>> turns, Supplier<ExpertTokens> tokens) {
        return (names, use) -> takeTurns(turns, tokens.get(), names, use);
    }

    private void takeTurns(
            List<List<Expert>> turns,
            ExpertTokens tokens,
            Collection<LayerLinear> names,
            BiConsumer<LayerLinear, PairedMoments> use) {
        for (List<Expert> turn : turns) {
            List<LayerLinear> its =
                    names.stream().filter(name -> turn.contains(name.expert())).toList();
            with(turn, tokens, turn == turns.getLast(), inputs -> inputs.forEach(its, use));
        }
    }
}
