package nibble.datasets.evaluation;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.EnumMap;
import java.util.Map;
import java.util.OptionalInt;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.datasets.Wikitext2;
import nibble.files.Reasons;
import org.apache.commons.compress.compressors.bzip2.BZip2CompressorInputStream;
import org.jspecify.annotations.Nullable;

/**
 * What comes with Nibble: compressed JSON lines beside this class, made by
 * {@code src/main/scripts/bundle_evaluation_data.py}.
 */
final class Bundled {
    private static final int WIKITEXT_PAGES = 62;

    /**
     * @param documents lines
     * @param sha256 of the uncompressed bytes, checked on every reading
     */
    private record File(int documents, String sha256) {}

    private static final Map<EvaluationSet, File> FILES = new EnumMap<>(EvaluationSet.class);

    static {
        FILES.put(
                EvaluationSet.ARC_CHALLENGE_TEST,
                new File(1172, "f848bada746081d8a8e2e54d033b7ddc294d26872c94ee1cbba8f2e5bcd37129"));
        FILES.put(
                EvaluationSet.ARC_CHALLENGE_TRAIN,
                new File(1119, "516ece5551758a57649045c7653d951f7d9a078c72af59fb5b8fb9313097f2d1"));
        FILES.put(
                EvaluationSet.ARC_EASY_TEST,
                new File(2376, "507345063b6b3ba99e4048d201187f179b8cbd93e90a0832a9e54191dc26a9ac"));
        FILES.put(
                EvaluationSet.HELLASWAG_VALIDATION,
                new File(1000, "eb427eb1791d2e283428b4c13c7edf31aaa2f03031d69a19df461c5fe30e3694"));
        FILES.put(
                EvaluationSet.MMLU_TEST,
                new File(14042, "047fb425e4f12c219a029edbf1bfe6b0bbdff2cc27414f4a4179783dd35cf9d9"));
        FILES.put(
                EvaluationSet.MMLU_DEV,
                new File(285, "9aee902cad08f966f03abb85a451a99683f0efb0845f6803d428842ce8f0f115"));
        FILES.put(
                EvaluationSet.TRUTHFULQA_VALIDATION,
                new File(817, "dcfb7dd76df8032a021b2c27f4be71499e5abfaeefb2a0a2d30f1f91c6afa8b0"));
        FILES.put(
                EvaluationSet.WINOGRANDE_VALIDATION,
                new File(1267, "e6acf25931940a6451e8ed76742d3da243041fe7ff81a973065fe25f4fb735a0"));
        FILES.put(
                EvaluationSet.PIQA_VALIDATION,
                new File(1838, "ba0007f7ff6dd868e4c56963088ebeeda2163715a53716a1c8dffa2336aad4e1"));
        FILES.put(
                EvaluationSet.OPENBOOKQA_TEST,
                new File(500, "adb2e5c7f8db810ddad4d6b2bf53dcc86dcc545499f7aafcaf42a8e179476c09"));
        FILES.put(
                EvaluationSet.LAMBADA_TEST,
                new File(5153, "411bfbe5b9054346b6a19299c0242670adbefb9162efd958593cbc0290b8c9dc"));
        FILES.put(
                EvaluationSet.GSM8K_TEST,
                new File(1319, "752adc99f23132275139f1f7be57126b08735a55daf0c56859ee6df70abafbac"));
    }

    private Bundled() {}

    static OptionalInt documents(EvaluationSet set) {
        if (set == EvaluationSet.WIKITEXT_TEST) {
            return OptionalInt.of(WIKITEXT_PAGES);
        }
        @Nullable File file = FILES.get(set);
        return file == null ? OptionalInt.empty() : OptionalInt.of(file.documents());
    }

    /** @throws BadDatasetException if the build is damaged */
    static SourceRows read(EvaluationSet set) {
        if (set == EvaluationSet.WIKITEXT_TEST) {
            return new SourceRows("bundled", Wikitext2.TEST_SHA256, WikitextPages.of(Wikitext2.test()));
        }
        @Nullable File file = FILES.get(set);
        if (file == null) {
            throw new IllegalArgumentException(set.title() + " is not bundled");
        }
        String resource = set.fileName() + ".jsonl.bz2";
        byte[] bytes;
        try (InputStream in = Bundled.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new BadDatasetException(
                        "bundled " + resource + " is missing from this build; build Nibble again");
            }
            bytes = new BZip2CompressorInputStream(new BufferedInputStream(in)).readAllBytes();
        } catch (IOException e) {
            throw new BadDatasetException(
                    "bundled " + resource + " cannot be read: " + Reasons.of(e) + "; build Nibble again", e);
        }
        String found = Utf8File.sha256(bytes);
        if (!found.equals(file.sha256())) {
            throw new BadDatasetException("bundled %s is damaged: SHA-256 %s, expected %s; build Nibble again"
                    .formatted(resource, found, file.sha256()));
        }
        return new SourceRows("bundled", found, JsonRows.of(resource, Utf8File.decode(bytes, resource)));
    }
}
