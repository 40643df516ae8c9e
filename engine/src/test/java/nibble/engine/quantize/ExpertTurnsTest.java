package nibble.engine.quantize;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Streams;
import org.junit.jupiter.api.Test;

class ExpertTurnsTest {
    private static List<List<Expert>> turns(String shape, LinearInput input, Streams streams) {
        ModelConfig config = ModelShape.named(shape).orElseThrow().config();
        List<Expert> experts = config.experts(config.layers() - 1).orElseThrow().all();
        List<List<Expert>> turns = ExpertTurns.of(config, experts, input, streams.moments(), ExpertTurns.ELEMENTS);
        assertThat(turns.stream().flatMap(List::stream)).containsExactlyElementsOf(experts);
        return turns;
    }

    /** 3 * 14336 * 14336 numbers are 2.5 GB in fp32; those of 8 experts together would take 20 GB. */
    @Test
    void downs_of_a_wide_expert_have_a_turn_of_their_own() {
        assertThat(turns("mixtral-8x7b", LinearInput.DOWN, Streams.PAIR))
                .hasSize(8)
                .allMatch(turn -> turn.size() == 1);
    }

    @Test
    void downs_of_narrow_experts_share_a_turn() {
        assertThat(turns("qwen3-30b-a3b", LinearInput.DOWN, Streams.PAIR)).hasSize(1);
    }

    @Test
    void gates_and_ups_share_a_turn_where_they_have_room() {
        assertThat(turns("mixtral-8x7b", LinearInput.GATE_UP, Streams.PAIR)).hasSize(1);
        assertThat(turns("mixtral-8x7b", LinearInput.GATE_UP, Streams.ONE)).hasSize(1);
    }

    /** 257 experts have 7168² numbers of C each, 13.2 billion, and three times as many with N of either half. */
    @Test
    void gates_and_ups_of_many_wide_experts_take_turns() {
        assertThat(turns("deepseek-v3", LinearInput.GATE_UP, Streams.ONE)).hasSize(7);
        assertThat(turns("deepseek-v3", LinearInput.GATE_UP, Streams.PAIR)).hasSize(20);
    }

    @Test
    void a_turn_takes_as_many_as_have_room() {
        ModelConfig config = ModelShape.named("qwen3-30b-a3b").orElseThrow().config();
        List<Expert> experts = config.experts(0).orElseThrow().all().subList(0, 7);
        assertThat(ExpertTurns.turns(config, experts, LinearInput.DOWN, Streams.PAIR.moments(), 3L * 3 * 768 * 768))
                .extracting(List::size)
                .containsExactly(3, 3, 1);
        assertThat(ExpertTurns.of(config, List.of(), LinearInput.DOWN, Streams.PAIR.moments(), 1))
                .isEmpty();
        assertThat(ExpertTurns.of(config, List.of(), LinearInput.GATE_UP, Streams.ONE.moments(), 1))
                .isEmpty();
    }
}
