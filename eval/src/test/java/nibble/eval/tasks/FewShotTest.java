package nibble.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Expected numbers were drawn by CPython 3.11 in the harness's order of calls. */
class FewShotTest {
    @ParameterizedTest
    @CsvSource({
        "ARC_CHALLENGE, 1172, 1119, 25, '595 716 511 906 148', '888 201 205 908 340 613 59 94 664 114', '293 475 944'",
        "HELLASWAG, 10042, 39905, 10, '9792 1027 5366 615 5402', '3656 36651 3421 19327 24999 26324 6280 26942 15277"
                + " 39293', '695 29714 25160'",
        "WINOGRANDE, 1267, 40398, 5, '187 719 618 35 404', '5906 19340 21411 27230 11510', ''",
        "GSM8K, 1319, 7473, 5, '588 1214 57 906 1252', '7268 4403 1111 3183 3716', ''",
    })
    void the_leaderboard_shuffles_documents_and_draws_on(
            Task task, int documents, int examples, int shots, String order, String first, String second) {
        List<FewShot.Turn> turns =
                new FewShot(Preset.LEADERBOARD_V1, task, shots, examples, false).turns(documents, OptionalInt.of(5));

        assertThat(turns.stream().map(FewShot.Turn::document)).containsExactlyElementsOf(numbers(order));
        assertShots(turns.get(0), shots, first);
        assertShots(turns.get(1), shots, second);
    }

    @ParameterizedTest
    @CsvSource({
        "ARC_CHALLENGE, 1172, 1119, 25, '902 239 15 185 71', '954 140 182'",
        "HELLASWAG, 10042, 39905, 10, '28883 7657 490 5940 38156 2288 5500 6450 23241 15519', '2019 1038 22681'",
        "WINOGRANDE, 1267, 40398, 5, '28883 7657 490 5940 38156', '5500 6450 23241'",
        "GSM8K, 1319, 7473, 5, '6374 3610 957 61 742', ''",
    })
    void release_0_4_keeps_the_order_and_draws_one_more_where_no_part_is_named(
            Task task, int documents, int examples, int shots, String first, String second) {
        List<FewShot.Turn> turns =
                new FewShot(Preset.LM_EVAL_0_4_9_1, task, shots, examples, false).turns(documents, OptionalInt.empty());

        assertThat(turns).hasSize(documents);
        assertThat(turns.get(1).document()).isEqualTo(1);
        assertShots(turns.get(0), shots, first);
        assertShots(turns.get(1), shots, second);
    }

    @Test
    void mmlu_shows_the_first_examples_to_all() {
        for (Preset preset : Preset.values()) {
            assertThat(new FewShot(preset, Task.MMLU, 5, 5, false).turns(100, OptionalInt.of(3)))
                    .allSatisfy(turn -> assertThat(turn.shots()).containsExactly(0, 1, 2, 3, 4));
        }
    }

    @Test
    void a_document_is_never_its_own_example() {
        for (Preset preset : Preset.values()) {
            assertThat(new FewShot(preset, Task.GSM8K, 5, 8, true).turns(8, OptionalInt.empty()))
                    .allSatisfy(turn -> assertThat(turn.shots())
                            .hasSize(5)
                            .doesNotHaveDuplicates()
                            .doesNotContain(turn.document()));
        }
    }

    private static void assertShots(FewShot.Turn turn, int shots, String first) {
        List<Integer> expected = numbers(first);
        assertThat(turn.shots()).hasSize(shots);
        assertThat(turn.shots().subList(0, expected.size())).isEqualTo(expected);
    }

    private static List<Integer> numbers(String text) {
        return text.isEmpty()
                ? List.of()
                : java.util.Arrays.stream(text.split(" ")).map(Integer::valueOf).toList();
    }
}
