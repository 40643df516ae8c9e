package nibble.convert.verify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.convert.gguf.GgufMix;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A good GGUF model, in one file or several, has no errors; parts that are missing, cut short or mixed up are found.
 */
class GgufVerificationTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private static Path shared;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    @SuppressWarnings("NullAway.Init")
    private static Path good;

    @BeforeAll
    static void writeOnce() {
        good = GgufBytes.export(shared.resolve("good"), GgufMix.Q4_0, Long.MAX_VALUE)
                .resolve("wiki-7m-Q4_0.gguf");
    }

    @ParameterizedTest
    @EnumSource(
            value = GgufMix.class,
            names = {"F16", "Q8_0", "Q4_K_M", "Q2_K"})
    void a_good_file_and_its_folder_have_no_errors(GgufMix mix) {
        Path folder = GgufBytes.export(temp.resolve("out"), mix, Long.MAX_VALUE);
        for (Path path : List.of(folder, folder.resolve("wiki-7m-" + mix + ".gguf"))) {
            CheckpointVerification found = GgufBytes.verify(path);
            assertThat(found.findings()).extracting(Finding::check).containsExactly("chat-template");
            assertThat(found.errors()).isZero();
            assertThat(found.files()).extracting(file -> file.path()).containsExactly("wiki-7m-" + mix + ".gguf");
            assertThat(found.source().orElseThrow().linears())
                    .hasSize(7)
                    .allSatisfy(linear -> assertThat(linear.relativeError()).isLessThan(0.15));
        }
    }

    @Test
    void a_split_model_is_one_model_by_whichever_part() {
        Path folder = GgufBytes.export(temp.resolve("out"), GgufMix.F16, 3_000_000);
        CheckpointVerification found = GgufBytes.verify(folder);
        assertThat(found.errors()).isZero();
        assertThat(found.files()).hasSizeGreaterThan(3);
        assertThat(GgufBytes.verify(folder.resolve(found.files().get(1).path())).files())
                .isEqualTo(found.files());
    }

    @Test
    void other_files_of_a_repository_do_not_disturb() throws IOException {
        Path folder = Files.createDirectories(temp.resolve("repository"));
        Files.copy(good, folder.resolve("a-Q4_0.gguf"));
        Files.copy(good, folder.resolve("b-Q4_0.gguf"));
        Files.writeString(folder.resolve("README.md"), "# A");
        Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"llama\"}");
        CheckpointVerification found = GgufBytes.verify(folder);
        assertThat(found.errors()).isZero();
        assertThat(found.files()).hasSize(4);
        assertThatThrownBy(() -> GgufBytes.verify(folder.resolve("README.md")))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("give the checkpoint's folder");
    }

    @Test
    void a_file_cut_short_anywhere_is_found() throws IOException {
        byte[] whole = Files.readAllBytes(good);
        Path path = temp.resolve("model.gguf");
        for (int length :
                new int[] {0, 3, 4, 23, 24, 40, 1_000, 60_000, 130_000, whole.length / 2, whole.length - 33}) {
            Files.write(path, Arrays.copyOf(whole, length));
            assertThat(GgufBytes.verify(path).errors()).as("%d bytes", length).isPositive();
        }
    }

    @Test
    void parts_that_are_missing_or_of_another_model_are_found() throws IOException {
        Path folder = GgufBytes.export(temp.resolve("out"), GgufMix.F16, 3_000_000);
        List<Path> parts;
        try (Stream<Path> files = Files.list(folder)) {
            parts = files.sorted().toList();
        }
        Path second = parts.get(1);
        byte[] bytes = Files.readAllBytes(second);
        Files.delete(second);
        said(folder, second.getFileName() + ": is missing");
        Files.copy(parts.get(2), second);
        said(folder, "split.no 2");
        Files.write(second, bytes);
        Files.move(parts.getFirst(), folder.resolve("other-00001-of-" + "%05d".formatted(parts.size()) + ".gguf"));
        said(folder, "is missing");
    }

    /**
     * Parts whose names and numbers fit, but not their tensors. Where these fit too, nothing tells: only the first part
     * has metadata.
     */
    @Test
    void parts_of_two_models_under_one_name_are_found() throws IOException {
        List<Path> of = sorted(GgufBytes.export(temp.resolve("a"), GgufMix.F16, 3_000_000));
        List<Path> other = List.of();
        for (int most = 2_500_000;
                other.size() != of.size() || Files.size(other.get(1)) == Files.size(of.get(1));
                most += 50_000) {
            other = sorted(GgufBytes.export(temp.resolve("b-" + most), GgufMix.F16, most));
        }
        Path mixed = Files.createDirectory(temp.resolve("mixed"));
        for (int i = 0; i < of.size(); i++) {
            Files.copy((i == 1 ? other : of).get(i), mixed.resolve(of.get(i).getFileName()));
        }
        assertThat(GgufBytes.verify(mixed).errors()).isPositive();
    }

    private static List<Path> sorted(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    private static void said(Path folder, String fragment) {
        assertThat(GgufBytes.verify(folder).findings())
                .anySatisfy(finding -> assertThat(finding.message()).contains(fragment))
                .anySatisfy(finding -> assertThat(finding.severity()).isEqualTo(Finding.Severity.ERROR));
    }
}
