package nibble.datasets.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.EvaluationDocument.BlankSentence;
import nibble.datasets.evaluation.EvaluationDocument.LastWord;
import nibble.datasets.evaluation.EvaluationDocument.MultipleChoice;
import nibble.datasets.evaluation.EvaluationDocument.Page;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class EvaluationDataTest {
    @TempDir
    private Path temp;

    @ParameterizedTest
    @EnumSource(EvaluationSet.class)
    void bundled_sets_have_the_documents_they_say(EvaluationSet set) {
        Optional<EvaluationDocuments> found = EvaluationData.bundled().find(set);

        assertThat(found.isPresent()).isEqualTo(set.bundled().isPresent());
        found.ifPresent(documents -> {
            assertThat(documents.documents()).hasSize(set.bundled().orElseThrow());
            assertThat(documents.whole()).isEqualTo(set != EvaluationSet.HELLASWAG_VALIDATION);
            assertThat(documents.source()).isEqualTo("bundled");
        });
    }

    @Test
    void bundled_documents_are_the_published_ones() {
        assertThat(first(EvaluationSet.ARC_CHALLENGE_TRAIN))
                .isEqualTo(new MultipleChoice(
                        "",
                        "George wants to warm his hands quickly by rubbing them. Which skin surface will produce the"
                                + " most heat?",
                        List.of("dry palms", "wet palms", "palms covered with oil", "palms covered with lotion"),
                        0));
        assertThat(first(EvaluationSet.WINOGRANDE_VALIDATION))
                .isEqualTo(new BlankSentence(
                        "Sarah was a much better surgeon than Maria so _ always got the easier cases.",
                        "Sarah",
                        "Maria",
                        1));
        assertThat(((LastWord) first(EvaluationSet.LAMBADA_TEST)).word()).isEqualTo("signs");
        assertThat(((Page) first(EvaluationSet.WIKITEXT_TEST)).text()).startsWith(" = Robert Boulter = \n");
        List<EvaluationDocument> mmlu =
                EvaluationData.bundled().require(EvaluationSet.MMLU_TEST).documents();
        assertThat(mmlu.stream().map(d -> ((MultipleChoice) d).subject()).distinct())
                .hasSize(57);
    }

    private static EvaluationDocument first(EvaluationSet set) {
        return EvaluationData.bundled().require(set).documents().getFirst();
    }

    @Test
    void parquet_files_of_the_hubs_cache_are_read_before_a_bundled_part() throws Exception {
        Path snapshot = temp.resolve("datasets--Rowan--hellaswag/snapshots/0123abcd/data");
        Files.createDirectories(snapshot);
        Files.createDirectories(temp.resolve("datasets--Rowan--hellaswag/refs"));
        Files.writeString(temp.resolve("datasets--Rowan--hellaswag/refs/main"), "0123abcd");
        copy("hellaswag.parquet", snapshot.resolve("validation-00000-of-00001.parquet"));

        EvaluationDocuments found =
                new EvaluationData(Optional.empty(), Optional.of(temp)).require(EvaluationSet.HELLASWAG_VALIDATION);

        assertThat(found.source()).endsWith("validation-00000-of-00001.parquet");
        assertThat(found.documents())
                .containsExactly(
                        new MultipleChoice(
                                "",
                                "Removing ice from car: Then, the man writes over the snow. Then",
                                List.of(", the man adds wax.", ", a person board a ski lift. x.", " two spaces.", " d"),
                                3),
                        new MultipleChoice("", "Baking: Ein Mann Éclairs and more", List.of("a", "b", "c", "d"), 0));
    }

    @Test
    void a_folder_of_ones_own_comes_first_in_the_hubs_columns_too() throws Exception {
        copy("arc.parquet", temp.resolve("arc_challenge.test.parquet"));
        Files.writeString(temp.resolve("gsm8k.train.jsonl"), "{\"question\": \"1+1?\", \"answer\": \"#### 2\"}\n\n");
        EvaluationData data = new EvaluationData(Optional.of(temp), Optional.empty());

        assertThat(data.require(EvaluationSet.ARC_CHALLENGE_TEST).documents())
                .containsExactly(
                        new MultipleChoice("", "Which?", List.of("x", "y", "z", "w"), 2),
                        new MultipleChoice("", "What?", List.of("x", "y", "z"), 1));
        assertThat(data.require(EvaluationSet.GSM8K_TRAIN).documents()).hasSize(1);
        assertThat(data.require(EvaluationSet.PIQA_VALIDATION).source()).isEqualTo("bundled");
    }

    @Test
    void what_no_place_has_says_where_to_get_it() {
        EvaluationData data = new EvaluationData(Optional.of(temp), Optional.of(temp.resolve("hub")));

        assertThatThrownBy(() -> data.require(EvaluationSet.GSM8K_TRAIN))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("GSM8K train (7473 documents) is not bundled")
                .hasMessageContaining(temp.resolve("gsm8k.train") + ".jsonl or .parquet")
                .hasMessageContaining("hf download --repo-type dataset openai/gsm8k");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"goal\": \"x\", \"choices\": [\"a\"|not JSON",
                "[1]|expected a JSON object, found ARRAY",
                "{\"choices\": [\"a\", \"b\"], \"gold\": 0}|no field \"goal\", found [choices, gold]",
                "{\"goal\": 7, \"choices\": [\"a\", \"b\"], \"gold\": 0}|field \"goal\" is NUMBER, a text expected",
                "{\"goal\": \"x\", \"choices\": [\"a\", \"b\"], \"gold\": 2}|right choice number 2 (from 0) of 2",
                "{\"goal\": \"x\", \"choices\": [\"a\", 3], \"gold\": 0}|list \"choices\" holds NUMBER",
                "{\"goal\": \"x\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": \"one\"}|field \"label\" is \"one\", a"
                        + " whole number",
            })
    void a_damaged_line_is_named(String line, String reason) throws Exception {
        Path file = temp.resolve("piqa.validation.jsonl");
        Files.writeString(file, "{\"goal\": \"x\", \"choices\": [\"a\", \"b\"], \"gold\": 0}\n" + line + "\n");

        assertThatThrownBy(() ->
                        new EvaluationData(Optional.of(temp), Optional.empty()).require(EvaluationSet.PIQA_VALIDATION))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageStartingWith(file + ": line 2: ")
                .hasMessageContaining(reason);
    }

    @Test
    void a_damaged_parquet_file_is_named() throws Exception {
        Path file = temp.resolve("arc_easy.test.parquet");
        copy("arc.parquet", file);
        byte[] bytes = Files.readAllBytes(file);
        Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 100));
        assertThatThrownBy(() ->
                        new EvaluationData(Optional.of(temp), Optional.empty()).require(EvaluationSet.ARC_EASY_TEST))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageStartingWith(file + ": row 0: cannot be read as Parquet");

        Files.write(file, "no parquet".getBytes(StandardCharsets.UTF_8));
        assertThatThrownBy(() ->
                        new EvaluationData(Optional.of(temp), Optional.empty()).require(EvaluationSet.ARC_EASY_TEST))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("download it again");
    }

    private static void copy(String resource, Path to) throws Exception {
        try (InputStream in = EvaluationDataTest.class.getResourceAsStream(resource)) {
            Files.copy(in, to);
        }
    }
}
