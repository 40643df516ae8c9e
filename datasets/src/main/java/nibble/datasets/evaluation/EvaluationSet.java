package nibble.datasets.evaluation;

import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/** Lists the parts of data sets that tasks are made of: documents to measure on and examples to show before them. */
public enum EvaluationSet {
    ARC_CHALLENGE_TEST(
            "arc_challenge.test",
            "ARC-Challenge test",
            1172,
            Rows.ARC,
            new Hub("allenai/ai2_arc", "ARC-Challenge", "test")),
    ARC_CHALLENGE_TRAIN(
            "arc_challenge.train",
            "ARC-Challenge train",
            1119,
            Rows.ARC,
            new Hub("allenai/ai2_arc", "ARC-Challenge", "train")),
    ARC_EASY_TEST("arc_easy.test", "ARC-Easy test", 2376, Rows.ARC, new Hub("allenai/ai2_arc", "ARC-Easy", "test")),
    ARC_EASY_TRAIN("arc_easy.train", "ARC-Easy train", 2251, Rows.ARC, new Hub("allenai/ai2_arc", "ARC-Easy", "train")),
    HELLASWAG_VALIDATION(
            "hellaswag.validation",
            "HellaSwag validation",
            10042,
            Rows.HELLASWAG,
            new Hub("Rowan/hellaswag", "", "validation")),
    HELLASWAG_TRAIN(
            "hellaswag.train", "HellaSwag train", 39905, Rows.HELLASWAG, new Hub("Rowan/hellaswag", "", "train")),
    MMLU_TEST("mmlu.test", "MMLU test", 14042, Rows.MMLU, new Hub("cais/mmlu", "all", "test")),
    MMLU_DEV("mmlu.dev", "MMLU dev", 285, Rows.MMLU, new Hub("cais/mmlu", "all", "dev")),
    TRUTHFULQA_VALIDATION(
            "truthfulqa.validation",
            "TruthfulQA multiple choice",
            817,
            Rows.TRUTHFULQA,
            new Hub("truthfulqa/truthful_qa", "multiple_choice", "validation")),
    WINOGRANDE_VALIDATION(
            "winogrande.validation",
            "WinoGrande XL validation",
            1267,
            Rows.WINOGRANDE,
            new Hub("allenai/winogrande", "winogrande_xl", "validation")),
    WINOGRANDE_TRAIN(
            "winogrande.train",
            "WinoGrande XL train",
            40398,
            Rows.WINOGRANDE,
            new Hub("allenai/winogrande", "winogrande_xl", "train")),
    PIQA_VALIDATION("piqa.validation", "PIQA validation", 1838, Rows.PIQA, new Hub("baber/piqa", "", "validation")),
    PIQA_TRAIN("piqa.train", "PIQA train", 16113, Rows.PIQA, new Hub("baber/piqa", "", "train")),
    OPENBOOKQA_TEST(
            "openbookqa.test", "OpenBookQA test", 500, Rows.OPENBOOKQA, new Hub("allenai/openbookqa", "main", "test")),
    OPENBOOKQA_TRAIN(
            "openbookqa.train",
            "OpenBookQA train",
            4957,
            Rows.OPENBOOKQA,
            new Hub("allenai/openbookqa", "main", "train")),
    LAMBADA_TEST(
            "lambada.test",
            "LAMBADA (OpenAI's) test",
            5153,
            Rows.LAMBADA,
            new Hub("EleutherAI/lambada_openai", "default", "test")),
    GSM8K_TEST("gsm8k.test", "GSM8K test", 1319, Rows.GSM8K, new Hub("openai/gsm8k", "main", "test")),
    GSM8K_TRAIN("gsm8k.train", "GSM8K train", 7473, Rows.GSM8K, new Hub("openai/gsm8k", "main", "train")),
    WIKITEXT_TEST(
            "wikitext.test",
            "wikitext-2 raw test, by page",
            62,
            Rows.WIKITEXT,
            new Hub("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", "test"));

    /** How a row becomes a document. */
    enum Rows {
        ARC,
        HELLASWAG,
        MMLU,
        TRUTHFULQA,
        WINOGRANDE,
        PIQA,
        OPENBOOKQA,
        LAMBADA,
        GSM8K,
        WIKITEXT
    }

    /**
     * Where the hub has it.
     *
     * @param repo of a data set
     * @param config the folder of the configuration; empty for none
     * @param split what names of its Parquet files begin with
     */
    record Hub(String repo, String config, String split) {}

    private final String fileName;
    private final String title;
    private final int published;
    private final Rows rows;
    private final @Nullable Hub hub;

    EvaluationSet(String fileName, String title, int published, Rows rows, @Nullable Hub hub) {
        this.fileName = fileName;
        this.title = title;
        this.published = published;
        this.rows = rows;
        this.hub = hub;
    }

    /** Returns the name of a file of it, without extension: {@code hellaswag.train}. */
    public String fileName() {
        return fileName;
    }

    /** Returns the name that people use. */
    public String title() {
        return title;
    }

    /** Returns how many documents the published part has. */
    public int published() {
        return published;
    }

    Rows rows() {
        return rows;
    }

    @Nullable
    Hub hub() {
        return hub;
    }

    /** Returns how many documents come with Nibble, if any do. */
    public OptionalInt bundled() {
        return Bundled.documents(this);
    }
}
