/* A Llama's forward pass in float32 on one core of the host: what scripts/compare-with-cpu puts beside the LPU.
 *
 * The plain loops, as in llama2.c: a product is a loop over rows and one over columns, which the compiler vectorises; nothing is
 * blocked, threaded or quantised. It reads llama2.c's legacy checkpoint (docs/language-models.md, "Formats").
 *
 * usage: llama_forward MODEL.bin POSITIONS ROUNDS TOKEN...
 *
 * Takes in the tokens given, then always the most likely next one, until POSITIONS tokens have been taken in; as many times as
 * ROUNDS says. Prints the tokens, the one that the last position gives included, on one line, and behind it a line with the seconds
 * of processor time of each round. Status 2 where the model or the arguments cannot be used.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LARGEST = 1 << 20 };

static void refuse(const char *why) {
    fprintf(stderr, "llama_forward: %s\n", why);
    exit(2);
}

typedef struct {
    int dim, hidden, layers, heads, kv_heads, vocabulary, context;
} Sizes;

/* Each tensor of all layers, one after the other. */
typedef struct {
    const float *embedding, *attention_norm, *query, *key, *value, *output, *feed_forward_norm, *gate, *down, *up, *final_norm;
    const float *classifier;
} Weights;

typedef struct {
    float *residual, *input, *query, *attention, *gate, *up, *update, *scores, *logits, *keys, *values, *turns;
} State;

static float *floats(size_t count) {
    float *memory = calloc(count ? count : 1, sizeof(float));
    if (!memory) refuse("not enough memory");
    return memory;
}

static const float *take(const float **rest, size_t *left, size_t count) {
    const float *tensor = *rest;
    if (count > *left) refuse("the file is shorter than its header asks for");
    *rest += count;
    *left -= count;
    return tensor;
}

static void product(float *result, const float *matrix, const float *vector, int rows, int columns) {
    for (int row = 0; row < rows; row++) {
        float sum = 0;
        for (int column = 0; column < columns; column++) sum += matrix[(size_t)row * columns + column] * vector[column];
        result[row] = sum;
    }
}

static void norm(float *result, const float *vector, const float *weights, int length) {
    float sum = 0;
    for (int i = 0; i < length; i++) sum += vector[i] * vector[i];
    float factor = 1 / sqrtf(sum / length + 1e-5f);
    for (int i = 0; i < length; i++) result[i] = weights[i] * factor * vector[i];
}

static void add(float *sum, const float *other, int length) {
    for (int i = 0; i < length; i++) sum[i] += other[i];
}

/* Turns neighbours; cosine and sine of each pair of a head stand in `turns`. */
static void rotate(float *vector, int length, int head_size, const float *turns) {
    for (int i = 0; i < length; i += 2) {
        float cosine = turns[i % head_size], sine = turns[i % head_size + 1];
        float a = vector[i], b = vector[i + 1];
        vector[i] = a * cosine - b * sine;
        vector[i + 1] = a * sine + b * cosine;
    }
}

static void softmax(float *scores, int length) {
    float largest = scores[0], sum = 0;
    for (int i = 1; i < length; i++) largest = scores[i] > largest ? scores[i] : largest;
    for (int i = 0; i < length; i++) sum += scores[i] = expf(scores[i] - largest);
    for (int i = 0; i < length; i++) scores[i] /= sum;
}

/* Logits of what may come after `token`, which stands at `position`. */
static void forward(const Sizes *p, const Weights *w, State *s, int token, int position) {
    int head_size = p->dim / p->heads, kv = p->kv_heads * head_size;
    size_t square = (size_t)p->dim * p->dim, narrow = (size_t)kv * p->dim, wide = (size_t)p->hidden * p->dim;
    memcpy(s->residual, w->embedding + (size_t)token * p->dim, p->dim * sizeof(float));
    const float *turns = s->turns + (size_t)position * head_size;
    for (int layer = 0; layer < p->layers; layer++) {
        float *keys = s->keys + (size_t)layer * p->context * kv, *values = s->values + (size_t)layer * p->context * kv;
        float *key = keys + (size_t)position * kv, *value = values + (size_t)position * kv;
        norm(s->input, s->residual, w->attention_norm + (size_t)layer * p->dim, p->dim);
        product(s->query, w->query + layer * square, s->input, p->dim, p->dim);
        product(key, w->key + layer * narrow, s->input, kv, p->dim);
        product(value, w->value + layer * narrow, s->input, kv, p->dim);
        rotate(s->query, p->dim, head_size, turns);
        rotate(key, kv, head_size, turns);
        for (int head = 0; head < p->heads; head++) {
            int shared = head / (p->heads / p->kv_heads) * head_size;
            const float *query = s->query + head * head_size;
            float *result = s->attention + head * head_size, root = sqrtf(head_size);
            for (int at = 0; at <= position; at++) {
                float sum = 0;
                for (int i = 0; i < head_size; i++) sum += query[i] * keys[(size_t)at * kv + shared + i];
                s->scores[at] = sum / root;
            }
            softmax(s->scores, position + 1);
            memset(result, 0, head_size * sizeof(float));
            for (int at = 0; at <= position; at++)
                for (int i = 0; i < head_size; i++) result[i] += s->scores[at] * values[(size_t)at * kv + shared + i];
        }
        product(s->update, w->output + layer * square, s->attention, p->dim, p->dim);
        add(s->residual, s->update, p->dim);
        norm(s->input, s->residual, w->feed_forward_norm + (size_t)layer * p->dim, p->dim);
        product(s->gate, w->gate + layer * wide, s->input, p->hidden, p->dim);
        product(s->up, w->up + layer * wide, s->input, p->hidden, p->dim);
        for (int i = 0; i < p->hidden; i++) s->gate[i] = s->gate[i] / (1 + expf(-s->gate[i])) * s->up[i];
        product(s->update, w->down + layer * wide, s->gate, p->dim, p->hidden);
        add(s->residual, s->update, p->dim);
    }
    norm(s->input, s->residual, w->final_norm, p->dim);
    product(s->logits, w->classifier, s->input, p->vocabulary, p->dim);
}

static int most_likely(const float *logits, int count) {
    int best = 0;
    for (int i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static int number(const char *text, int from, int to, const char *what) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < from || value > to) refuse(what);
    return (int)value;
}

int main(int count, char **arguments) {
    if (count < 5) refuse("usage: llama_forward MODEL.bin POSITIONS ROUNDS TOKEN...");
    FILE *file = fopen(arguments[1], "rb");
    int32_t header[7];
    if (!file || fread(header, sizeof header, 1, file) != 1) refuse("the model cannot be read");
    Sizes p = {header[0], header[1], header[2], header[3], header[4], abs(header[5]), header[6]};
    const int sizes[] = {p.dim, p.hidden, p.layers, p.heads, p.kv_heads, p.vocabulary, p.context};
    for (int i = 0; i < 7; i++)
        if (sizes[i] < 1 || sizes[i] > LARGEST) refuse("no legacy checkpoint of llama2.c");
    if (p.dim % p.heads || p.heads % p.kv_heads || p.dim / p.heads % 2) refuse("its heads cannot be used");
    int head_size = p.dim / p.heads, kv = p.kv_heads * head_size;
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    if (bytes < (long)sizeof header) refuse("the model cannot be read");
    size_t left = ((size_t)bytes - sizeof header) / sizeof(float);
    float *content = floats(left);
    fseek(file, sizeof header, SEEK_SET);
    if (fread(content, sizeof(float), left, file) != left) refuse("the model cannot be read");
    fclose(file);
    const float *rest = content;
    size_t dim = p.dim, all = p.layers, square = all * dim * dim, narrow = all * kv * dim, wide = all * p.hidden * dim;
    Weights w;
    w.embedding = take(&rest, &left, p.vocabulary * dim);
    w.attention_norm = take(&rest, &left, all * dim);
    w.query = take(&rest, &left, square);
    w.key = take(&rest, &left, narrow);
    w.value = take(&rest, &left, narrow);
    w.output = take(&rest, &left, square);
    w.feed_forward_norm = take(&rest, &left, all * dim);
    w.gate = take(&rest, &left, wide);
    w.down = take(&rest, &left, wide);
    w.up = take(&rest, &left, wide);
    w.final_norm = take(&rest, &left, dim);
    take(&rest, &left, (size_t)p.context * head_size);
    w.classifier = header[5] < 0 ? take(&rest, &left, p.vocabulary * dim) : w.embedding;

    int positions = number(arguments[2], 1, p.context, "POSITIONS must be 1 to the model's context");
    int rounds = number(arguments[3], 1, 1000, "ROUNDS must be 1 to 1000"), given = count - 4;
    if (given > positions) refuse("more tokens than POSITIONS");
    int *tokens = calloc(positions + 1, sizeof(int));
    if (!tokens) refuse("not enough memory");
    for (int i = 0; i < given; i++) tokens[i] = number(arguments[4 + i], 0, p.vocabulary - 1, "a token beyond the vocabulary");
    size_t cache = all * p.context * kv;
    State s = {floats(dim),      floats(dim),       floats(dim),          floats(dim),   floats(p.hidden), floats(p.hidden),
               floats(dim),      floats(p.context), floats(p.vocabulary), floats(cache), floats(cache),
               floats((size_t)p.context * head_size)};
    for (int position = 0; position < positions; position++)
        for (int i = 0; i < head_size; i += 2) {
            double angle = position / pow(10000, (double)i / head_size);
            s.turns[(size_t)position * head_size + i] = (float)cos(angle);
            s.turns[(size_t)position * head_size + i + 1] = (float)sin(angle);
        }
    double *seconds = calloc(rounds, sizeof(double));
    if (!seconds) refuse("not enough memory");
    for (int round = 0; round < rounds; round++) {
        clock_t start = clock();
        for (int position = 0; position < positions; position++) {
            forward(&p, &w, &s, tokens[position], position);
            if (position + 1 >= given) tokens[position + 1] = most_likely(s.logits, p.vocabulary);
        }
        seconds[round] = (double)(clock() - start) / CLOCKS_PER_SEC;
    }
    for (int i = 0; i <= positions; i++) printf("%d%c", tokens[i], i < positions ? ' ' : '\n');
    for (int round = 0; round < rounds; round++) printf("%.9f%c", seconds[round], round + 1 < rounds ? ' ' : '\n');
    return 0;
}
