// SPDX-License-Identifier: Apache-2.0
// Answers of Prometheus' API: the very bytes, and that they are JSON whatever is written.
#include "metrics-api/prometheus/write.h"

#include "metrics-api/prometheus/metric.h"
#include "metrics-api/promql/literal.h"
#include "tests/sim/random.h"

#include <check.h>
#include <jansson.h>
#include <math.h>

#define ANY SIZE_MAX

static struct buf out;

static void end(void)
{
    buf_free(&out);
}

static const char *written(void)
{
    buf_addc(&out, '\0');
    out.n--;
    return out.p;
}

#define ASSERT_WRITTEN(text) ck_assert_str_eq(written(), text)

// --- values and times ---

// What Go's strconv.FormatFloat gives, with 'e' below 1e-6 and from 1e21 on, else 'f'.
static const struct {
    uint64_t bits;
    const char *text;
} values[] = {
    {UINT64_C(0x0000000000000000), "0"},
    {UINT64_C(0x8000000000000000), "-0"},
    {UINT64_C(0x3ff0000000000000), "1"},
    {UINT64_C(0xbff0000000000000), "-1"},
    {UINT64_C(0x7ff8000000000001), "NaN"},
    {UINT64_C(0x7ff0000000000000), "+Inf"},
    {UINT64_C(0xfff0000000000000), "-Inf"},
    {UINT64_C(0x0000000000000001), "5e-324"},
    {UINT64_C(0x7fefffffffffffff), "1.7976931348623157e+308"},
    {UINT64_C(0x0010000000000000), "2.2250738585072014e-308"},
    {UINT64_C(0x000fffffffffffff), "2.225073858507201e-308"},
    {UINT64_C(0x3eb0c6f7a0b5ed8d), "0.000001"},
    {UINT64_C(0x3eb0c6f7a0b5ed8c), "9.999999999999997e-07"},
    {UINT64_C(0x444b1ae4d6e2ef50), "1e+21"},
    {UINT64_C(0x444b1ae4d6e2ef4f), "999999999999999900000"},
    {UINT64_C(0x4415af1d78b58c40), "100000000000000000000"},
    {UINT64_C(0x4480f0cf064dd592), "1e+22"},
    {UINT64_C(0x44b52d02c7e14af6), "1e+23"},
    {UINT64_C(0x3fb999999999999a), "0.1"},
    {UINT64_C(0x3fd3333333333333), "0.3"},
    {UINT64_C(0x3fd5555555555555), "0.3333333333333333"},
    {UINT64_C(0x430c6bf526340000), "1000000000000000"},
    {UINT64_C(0x4341c37937e08000), "10000000000000000"},
    {UINT64_C(0x4340000000000000), "9007199254740992"},
    {UINT64_C(0x437b69b4ba630f35), "123456789012345680"},
    {UINT64_C(0x3eb4b3fd5942cd96), "0.000001234"},
    {UINT64_C(0x3e7ad7f29abcaf48), "1e-07"},
    {UINT64_C(0x3ee4f8b588e368f1), "0.00001"},
    {UINT64_C(0x4059000000000000), "100"},
    {UINT64_C(0x405edd2f1a9fbe77), "123.456"},
    {UINT64_C(0x3eafe07017c01026), "9.5e-07"},
    {UINT64_C(0x54b249ad2594c37d), "1e+100"},
    {UINT64_C(0xd4b249ad2594c37d), "-1e+100"},
    {UINT64_C(0x2b2bff2ee48e0530), "1e-100"},
    {UINT64_C(0x547d42aea2879f2e), "1e+99"},
    {UINT64_C(0x2b617f7d4ed8c33e), "1e-99"},
    {UINT64_C(0x2b6152b1d09e4669), "9.9e-100"},
    {UINT64_C(0x4011666666666666), "4.35"},
    {UINT64_C(0x4005666666666666), "2.675"},
    {UINT64_C(0x3ff0147ae147ae14), "1.005"},
    {UINT64_C(0x41b1de784a000000), "299792458"},
    {UINT64_C(0x400921fb54442d18), "3.141592653589793"},
    {UINT64_C(0x43e0000000000000), "9223372036854776000"},
    {UINT64_C(0x43d0000000000000), "4611686018427388000"},
    {UINT64_C(0x4340000000000001), "9007199254740994"},
    {UINT64_C(0x3ea0c6f7a0b5ed8d), "5e-07"},
    {UINT64_C(0x4454542ba12a337c), "1.5e+21"},
    {UINT64_C(0x45246c4f94f99599), "1.2345e+25"},
    {UINT64_C(0x759e421e454dfff3), "3.634632067643165e+258"},
    {UINT64_C(0x412846790ffc9796), "795452.531224"},
    {UINT64_C(0x413b4aef58000000), "1788655.34375"},
    {UINT64_C(0x4385a9e7a665fba7), "195129180965270750"},
    {UINT64_C(0xc1d5b94496ce4467), "-1457853019.222925"},
    {UINT64_C(0x02d981b87214fcb3), "6.2402053867670005e-295"},
    {UINT64_C(0x40f1b157f3a9b068), "72469.496988"},
    {UINT64_C(0x41292eee69296d69), "825207.2053941909"},
    {UINT64_C(0x4153bdc000000000), "5175040"},
    {UINT64_C(0xbd58e7a5619b819a), "-3.539194504476836e-13"},
    {UINT64_C(0xd90c56f026608fbb), "-9.147491692891379e+120"},
    {UINT64_C(0x411b9440f0010c6f), "451856.234379"},
    {UINT64_C(0x415d3503927350b9), "7656462.288288289"},
    {UINT64_C(0x4206af3ea4900000), "12178674834"},
    {UINT64_C(0x43c4f81fd8afde9e), "3021985381013601300"},
    {UINT64_C(0xb0916fb5152a2f55), "-9.637332272869275e-75"},
    {UINT64_C(0x41296d347543d039), "833178.229033"},
    {UINT64_C(0x41410a65428c1979), "2233546.5199004975"},
    {UINT64_C(0x406ae00000000000), "215"},
    {UINT64_C(0x4011b1d2ac6c02c1), "4.42365521821256"},
    {UINT64_C(0xf66144d88448b923), "-1.6993061890316662e+262"},
    {UINT64_C(0x41146f194c6a3bde), "334790.324624"},
    {UINT64_C(0x40d59076e9e06523), "22081.85802469136"},
    {UINT64_C(0x422a8881a5580000), "56979673772"},
    {UINT64_C(0xbd30a956fc78f729), "-5.919348053280631e-14"},
    {UINT64_C(0xe4409ebc431e70cb), "-8.221292300268809e+174"},
    {UINT64_C(0x4125eba2eaccb3a2), "718289.458593"},
    {UINT64_C(0x414ed6696d4873ed), "4041938.853773585"},
    {UINT64_C(0x4069800000000000), "204"},
    {UINT64_C(0xc2806d176989a747), "-2257591284020.9097"},
    {UINT64_C(0xfca2efa51ae8cc0a), "-2.362091108707252e+292"},
    {UINT64_C(0x41273b5205b9c737), "761257.011183"},
    {UINT64_C(0x4142bcc217f748fd), "2455940.1872340427"},
    {UINT64_C(0x4070a00000000000), "266"},
    {UINT64_C(0xc451ec4eb45bde56), "-1.322489579203448e+21"},
    {UINT64_C(0x4cc5f60e6022f387), "7.058043688679029e+61"},
    {UINT64_C(0x412a479734e4ead1), "861131.603309"},
    {UINT64_C(0x414993681c000000), "3352272.21875"},
    {UINT64_C(0x434af997303751a8), "15185554277573456"},
    {UINT64_C(0x40d4d44fe4246359), "21329.24829969122"},
    {UINT64_C(0x6915586d26be87b3), "1.5955917333522094e+198"},
    {UINT64_C(0x410bd10b7c1b5419), "227873.435599"},
    {UINT64_C(0x40ff77a1a3784a06), "128890.10240963855"},
    {UINT64_C(0x425e319ce4f4c000), "518725538771"},
    {UINT64_C(0xc1ec437ee38dde65), "-3793483548.433398"},
    {UINT64_C(0x4a499b758d316770), "7.485011197916428e+49"},
    {UINT64_C(0x4124e60e397e9963), "684807.112294"},
    {UINT64_C(0x4153bea3faaaaaab), "5175951.916666667"},
    {UINT64_C(0x40c5c50000000000), "11146"},
    {UINT64_C(0xbf6577fd5622876f), "-0.0026206920602626564"},
    {UINT64_C(0x7569b9734c000315), "3.862529651659107e+257"},
    {UINT64_C(0x411e9c324704ff43), "501516.569355"},
    {UINT64_C(0x40fa107a4aa5fb9c), "106759.64322469983"},
    {UINT64_C(0x42c3aed5726e7c80), "43283252567289"},
    {UINT64_C(0x3fdc5fb63c427a1c), "0.44334178814634284"},
    {UINT64_C(0x7868e10ea9ecc408), "1.0514806655304619e+272"},
    {UINT64_C(0x40f00c4374acaff7), "65732.215985"},
    {UINT64_C(0x412dab391bed61bf), "972188.5545454546"},
    {UINT64_C(0x4064c00000000000), "166"},
    {UINT64_C(0x4498b7954f287376), "2.9180827154217878e+22"},
    {UINT64_C(0x6e253e1f5c4e9af9), "3.839333463875465e+222"},
    {UINT64_C(0x4127449968919ef9), "762444.704236"},
    {UINT64_C(0x41272dbe6789abce), "759519.2022222222"},
    {UINT64_C(0x438423eb7428f662), "181407798634925120"},
    {UINT64_C(0x42c41a017fad4b73), "44203853699734.9"},
    {UINT64_C(0xc354c1b56c0d801a), "-23369937921114216"},
    {UINT64_C(0x40fa19307db5d895), "106899.030691"},
    {UINT64_C(0x412173f5d306eb3e), "571898.9121621621"},
    {UINT64_C(0x42c687fd5a784280), "49546653921413"},
    {UINT64_C(0xc458996d522dbea0), "-1.8151097631428753e+21"},
    {UINT64_C(0x87ea3ea494336832), "-1.5524424130444957e-270"},
    {UINT64_C(0x4126cb8b86e67514), "746949.763477"},
    {UINT64_C(0x412c894aec736ec7), "935077.4618181818"},
    {UINT64_C(0xc4126fd2dcca5c23), "-85024784692944620000"},
    {UINT64_C(0x746f7610efe44e76), "7.208113341325551e+252"},
    {UINT64_C(0x41136f49b64a16a5), "318418.428017"},
    {UINT64_C(0x414ce0ea495da896), "3785172.573170732"},
    {UINT64_C(0x4365b179f54227e1), "48848894998691590"},
    {UINT64_C(0xd764577454800524), "-9.783942751999097e+112"},
    {UINT64_C(0x412cd841f571f362), "945184.979385"},
    {UINT64_C(0x40f431caf31219dc), "82716.68434343435"},
    {UINT64_C(0x43858f60b8579d71), "194195842665786900"},
    {UINT64_C(0xbd90b5be8c9eb6be), "-3.799400201734349e-12"},
    {UINT64_C(0x9d8da0e07967939c), "-2.5122391265083235e-166"},
    {UINT64_C(0x41275a1737d028a2), "765195.60901"},
    {UINT64_C(0x41110876f8e38e39), "279069.74305555556"},
    {UINT64_C(0x40d2b3c000000000), "19151"},
    {UINT64_C(0xc213614d47386f23), "-20809208270.108532"},
    {UINT64_C(0xa9d31730977edc7b), "-3.2514778044460075e-107"},
    {UINT64_C(0x41072e8f3ff609dd), "189905.906231"},
    {UINT64_C(0x413c09a853d137e1), "1837480.3274111676"},
    {UINT64_C(0x40fe950000000000), "125264"},
    {UINT64_C(0xc45742cc57634dd4), "-1.716353727524364e+21"},
    {UINT64_C(0x3160719b4e6f4bbb), "7.44547793193073e-71"},
    {UINT64_C(0x4121c88ca4fa4830), "582726.322222"},
    {UINT64_C(0x4137da220bf8a212), "1563170.0467625898"},
    {UINT64_C(0x425f6d5887944000), "539914018385"},
    {UINT64_C(0x3d8db8adccd804bf), "3.3789322037763534e-12"},
    {UINT64_C(0xa3fc30b3679b1157), "-2.4240450938707904e-135"},
    {UINT64_C(0x40f0eda4a6ba493d), "69338.290705"},
    {UINT64_C(0x414d1f3b9465fdf6), "3817079.15936255"},
    {UINT64_C(0x40be710000000000), "7793"},
    {UINT64_C(0xc07089605f2dc301), "-264.5860282695358"},
    {UINT64_C(0x82fcb64a85239603), "-2.8097573943196822e-294"},
    {UINT64_C(0x412b52daf951e753), "895341.486953"},
    {UINT64_C(0x413e5c3390a1fd1b), "1989683.5649717513"},
    {UINT64_C(0x43a62e8dcf693687), "799185419863016300"},
    {UINT64_C(0xc2d96e7fa6a62180), "-111849514899590"},
    {UINT64_C(0x90e1da3809efaec6), "-2.3549967883943183e-227"},
    {UINT64_C(0x40fb8e3351b3f20a), "112867.207447"},
    {UINT64_C(0x41462b69ea749814), "2905811.831683168"},
    {UINT64_C(0x42f270b73dcdb350), "324405118688053"},
    {UINT64_C(0xc0c97e93e49aaecb), "-13053.155413947437"},
    {UINT64_C(0xd0d6fb6cfe13d673), "-2.7250166387473894e+81"},
    {UINT64_C(0x4118b8e63cc89b0f), "405049.559359"},
    {UINT64_C(0x40ef5eeca60dd67d), "64247.39527027027"},
    {UINT64_C(0x42d423549b570b40), "88567903509549"},
    {UINT64_C(0x4446674a8e4ec6be), "826542574849572500000"},
    {UINT64_C(0x41ef2b556a90681b), "4183468884.512708"},
    {UINT64_C(0x411d104613dc8b87), "476177.519396"},
    {UINT64_C(0x412cfaa312bb512c), "949585.5365853659"},
    {UINT64_C(0xc3a03b929acb6f58), "-584844860884233200"},
    {UINT64_C(0x6c19b969de4f842e), "5.412526598858761e+212"},
    {UINT64_C(0x4122dbec8fb395c4), "617974.280667"},
    {UINT64_C(0x414603f2b74bc6a8), "2885605.432"},
    {UINT64_C(0x41735901b0000000), "20287515"},
    {UINT64_C(0xc0e1aef41aa11dac), "-36215.628250654176"},
    {UINT64_C(0x14c62e556d3d0b03), "1.349379038007597e-208"},
    {UINT64_C(0x411499c75a2ad3e9), "337521.838054"},
    {UINT64_C(0x413949a429a69a6a), "1657252.1626984128"},
    {UINT64_C(0x4380e2b719e4bf4b), "152092021397907800"},
    {UINT64_C(0xc0db6e7ae9245c37), "-28089.920479860357"},
    {UINT64_C(0x44e7086a36fae517), "8.70157253112561e+23"},
    {UINT64_C(0x41258999506961c3), "705740.657054"},
    {UINT64_C(0x412fd6aeeac8d6fc), "1043287.4585635359"},
    {UINT64_C(0x4350708fc06138e4), "18509449350407056"},
    {UINT64_C(0x3d591b5318fae28c), "3.567881878782567e-13"},
    {UINT64_C(0x6cd8e1af2cef0551), "2.1443459174088482e+216"},
    {UINT64_C(0x4105b0ced2ee84ad), "177689.852994"},
    {UINT64_C(0x412d338d72b020c5), "956870.724"},
    {UINT64_C(0x425ace6d07e60000), "460529606552"},
    {UINT64_C(0xbfa628a949896a52), "-0.043278970934541264"},
    {UINT64_C(0x146c4ad3a6c42a5f), "2.6893118898514052e-210"},
    {UINT64_C(0x412721412e38eb03), "757920.590278"},
    {UINT64_C(0x41540a5c75a95a96), "5253489.838461539"},
    {UINT64_C(0x429fc60c7a011000), "8733868326980"},
    {UINT64_C(0xc4d92a4279a05d35), "-4.753548614353512e+23"},
};

START_TEST(values_are_written_as_go_does)
{
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        double v;
        memcpy(&v, &values[i].bits, sizeof(v));
        buf_clear(&out);
        prom_write_value(v, &out);
        ASSERT_WRITTEN(values[i].text);
    }
}
END_TEST

static bool reads_back(double v, int digits)
{
    char text[40];
    snprintf(text, sizeof(text), "%.*e", digits - 1, v);
    return strtod(text, NULL) == v;
}

static int count_digits(struct str text)
{
    int count = 0, zeros = 0;
    for (size_t i = 0; i < text.n && text.p[i] != 'e'; i++) {
        if (text.p[i] == '0')
            zeros += count > 0;
        else if (text.p[i] >= '1' && text.p[i] <= '9') {
            count += zeros + 1;
            zeros = 0;
        }
    }
    return count;
}

START_TEST(values_read_back_and_no_shorter_one_would)
{
    struct random r = {(uint64_t)_i};
    for (int i = 0; i < 2000; i++) {
        uint64_t bits = random_next(&r);
        double v, read;
        memcpy(&v, &bits, sizeof(v));
        if (i % 2)
            v = (double)(bits >> 40) / (double)(1 + random_below(&r, 1000));
        if (!isfinite(v) || v == 0)
            continue;
        buf_clear(&out);
        prom_write_value(v, &out);
        ck_assert(literal_float((struct str){out.p, out.n}, &read));
        ck_assert(memcmp(&v, &read, sizeof(v)) == 0);
        int digits = count_digits((struct str){out.p, out.n});
        ck_assert_msg(digits == 1 || !reads_back(v, digits - 1), "%s", written());
    }
}
END_TEST

static const struct {
    int64_t ms;
    const char *text;
} times[] = {
    {0, "0"},
    {1, "0.001"},
    {10, "0.010"},
    {120, "0.120"},
    {999, "0.999"},
    {1000, "1"},
    {-1, "-0.001"},
    {-1500, "-1.500"},
    {1700000000000, "1700000000"},
    {1700000000123, "1700000000.123"},
    {INT64_MAX, "9223372036854775.807"},
    {INT64_MIN, "-9223372036854775.808"},
};

START_TEST(times_are_seconds)
{
    prom_write_time(times[_i].ms, &out);
    ASSERT_WRITTEN(times[_i].text);
}
END_TEST

// --- results ---

static const struct label up[] = {{STR_LIT("__name__"), STR_LIT("up")},
                                  {STR_LIT("job"), STR_LIT("a\"b\\\n\xc3\xa9")}};
static const struct label odd[] = {{STR_LIT("n.a\xff"), STR_LIT("\xfe\0x\xe2\x82")}};
static const int64_t t[] = {1700000000000, 1700000060500};
static const double v[] = {1, 0.5};

static void write(struct promql_result *r, int64_t limit)
{
    buf_clear(&out);
    ck_assert_int_eq(prom_write_result(r, 1700000000123, limit, ANY, &out), 0);
}

START_TEST(a_matrix_is_series_with_values)
{
    struct promql_points series[] = {{{up, 2}, t, v, 2}, {{NULL, 0}, t, v + 1, 1}};
    struct promql_result r = {.type = PROMQL_MATRIX, .series = series, .n = 2};
    write(&r, 0);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
                   "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\\\"b\\\\\\u000a\xc3\xa9\"},"
                   "\"values\":[[1700000000,\"1\"],[1700000060.500,\"0.5\"]]},"
                   "{\"metric\":{},\"values\":[[1700000000,\"0.5\"]]}]}}");
    r.n = 0;
    write(&r, 0);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}");
}
END_TEST

START_TEST(a_vector_is_series_with_a_value)
{
    struct promql_points series[] = {{{up, 1}, t, v, 1}, {{odd, 1}, t, v, 1}};
    struct promql_result r = {.type = PROMQL_VECTOR, .series = series, .n = 2};
    write(&r, 2);
    ASSERT_WRITTEN(
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
        "{\"metric\":{\"__name__\":\"up\"},\"value\":[1700000000,\"1\"]},"
        "{\"metric\":{\"n.a\xef\xbf\xbd\":\"\xef\xbf\xbd\\u0000x\xef\xbf\xbd\xef\xbf\xbd\"},"
        "\"value\":[1700000000,\"1\"]}]}}");
}
END_TEST

START_TEST(a_scalar_and_a_string_are_a_point)
{
    struct promql_points point = {{NULL, 0}, t + 1, v + 1, 1};
    struct promql_result r = {.type = PROMQL_SCALAR, .series = &point, .n = 1};
    write(&r, 1);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":["
                   "1700000060.500,\"0.5\"]}}");
    r = (struct promql_result){.type = PROMQL_STRING, .string = STR_LIT("a\"\xff")};
    write(&r, 1);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":["
                   "1700000000.123,\"a\\\"\xef\xbf\xbd\"]}}");
}
END_TEST

START_TEST(notes_are_there_where_there_are_any)
{
    struct str warnings[] = {STR_LIT("w1"), STR_LIT("w\"2")}, infos[] = {STR_LIT("i")};
    struct promql_points series[] = {{{NULL, 0}, t, v, 1}, {{up, 1}, t, v, 1}};
    struct promql_result r = {
        .type = PROMQL_VECTOR, .series = series, .n = 2, .infos = infos, .info_count = 1};
    write(&r, 0);
    ck_assert_ptr_nonnull(strstr(written(), "]},\"infos\":[\"i\"]}"));
    r.warnings = warnings;
    r.warning_count = 2;
    write(&r, 0);
    ck_assert_ptr_nonnull(
        strstr(written(), "]},\"warnings\":[\"w1\",\"w\\\"2\"],\"infos\":[\"i\"]}"));
    write(&r, 1);
    ck_assert_ptr_nonnull(strstr(
        written(),
        "\"result\":[{\"metric\":{},\"value\":[1700000000,\"1\"]}]},"
        "\"warnings\":[\"w1\",\"w\\\"2\",\"results truncated due to limit\"],\"infos\":[\"i\"]}"));
    r.warning_count = r.info_count = 0;
    write(&r, 1);
    ck_assert_ptr_nonnull(
        strstr(written(), "]},\"warnings\":[\"results truncated due to limit\"]}"));
}
END_TEST

START_TEST(an_answer_is_no_longer_than_allowed)
{
    struct promql_points series[] = {{{up, 1}, t, v, 2}, {{up, 2}, t, v, 2}, {{odd, 1}, t, v, 2}};
    struct promql_result r = {.type = PROMQL_MATRIX, .series = series, .n = 3};
    write(&r, 0);
    size_t n = out.n;
    for (size_t max = 0; max < n; max++) {
        buf_clear(&out);
        buf_addc(&out, 'x');
        ck_assert_int_eq(prom_write_result(&r, 0, 0, max, &out), -1);
        ck_assert_uint_eq(out.n, 1);
    }
    ck_assert_int_eq(prom_write_result(&r, 0, 0, n, &out), 0);
    ck_assert_uint_eq(out.n, n + 1);
}
END_TEST

START_TEST(far_more_than_allowed_is_not_written_first)
{
    static struct promql_points series[10000];
    for (size_t i = 0; i < ARRAY_LEN(series); i++)
        series[i] = (struct promql_points){{up, 2}, t, v, 2};
    struct promql_result r = {.type = PROMQL_MATRIX, .series = series, .n = ARRAY_LEN(series)};
    ck_assert_int_eq(prom_write_result(&r, 0, 0, 1000, &out), -1);
    ck_assert_uint_lt(out.cap, 3000);
}
END_TEST

// --- names and sets of labels ---

START_TEST(names_are_a_list_and_limited)
{
    const struct str names[] = {STR_LIT("a"), STR_LIT("b\"\xff"), STR_LIT("c")};
    prom_write_names(names, 3, 0, &out);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":[\"a\",\"b\\\"\xef\xbf\xbd\",\"c\"]}");
    buf_clear(&out);
    prom_write_names(names, 3, 3, &out);
    ck_assert_ptr_null(strstr(written(), "warnings"));
    buf_clear(&out);
    prom_write_names(names, 3, 1, &out);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":[\"a\"],\"warnings\":[\"results truncated due "
                   "to limit\"]}");
    buf_clear(&out);
    prom_write_names(NULL, 0, 1, &out);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":[]}");
}
END_TEST

START_TEST(series_are_sets_of_labels_and_limited)
{
    const struct labels series[] = {{up, 1}, {odd, 1}};
    ck_assert_int_eq(prom_write_series(series, 2, 0, ANY, &out), 0);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":[{\"__name__\":\"up\"},"
                   "{\"n.a\xef\xbf\xbd\":\"\xef\xbf\xbd\\u0000x\xef\xbf\xbd\xef\xbf\xbd\"}]}");
    size_t n = out.n;
    ck_assert_int_eq(prom_write_series(series, 2, 0, n - 1, &out), -1);
    ck_assert_uint_eq(out.n, n);
    ck_assert_int_eq(prom_write_series(series, 2, 0, n, &out), 0);
    buf_clear(&out);
    ck_assert_int_eq(prom_write_series(series, 2, 1, ANY, &out), 0);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":[{\"__name__\":\"up\"}],"
                   "\"warnings\":[\"results truncated due to limit\"]}");
    buf_clear(&out);
    ck_assert_int_eq(prom_write_series(NULL, 0, 0, ANY, &out), 0);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":[]}");
}
END_TEST

// --- the table ---

static json_t *metadata(const char *metric, int64_t limit)
{
    buf_clear(&out);
    prom_write_metadata(metric, limit, &out);
    json_t *root = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL), *data;
    ck_assert_msg(root != NULL, "%s", written());
    ck_assert_str_eq(json_string_value(json_object_get(root, "status")), "success");
    data = json_incref(json_object_get(root, "data"));
    json_decref(root);
    return data;
}

START_TEST(metadata_has_each_family_once_as_the_table_says)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    json_t *all = metadata(NULL, 0);
    size_t families = json_object_size(all);
    for (size_t i = 0; i < metric_count; i++) {
        json_t *list = json_object_get(all, metrics[i].family), *one = json_array_get(list, 0);
        ck_assert_uint_eq(json_array_size(list), 1);
        ck_assert_str_eq(json_string_value(json_object_get(one, "type")), types[metrics[i].type]);
        ck_assert_str_eq(json_string_value(json_object_get(one, "unit")), metrics[i].unit);
        ck_assert_str_eq(json_string_value(json_object_get(one, "help")), metrics[i].help);
    }
    json_decref(all);
    for (int64_t limit = 1; limit <= (int64_t)families + 1; limit++) {
        all = metadata(NULL, limit);
        ck_assert_uint_eq(json_object_size(all),
                          limit < (int64_t)families ? (size_t)limit : families);
        json_decref(all);
    }
}
END_TEST

START_TEST(metadata_of_one_is_by_its_name_or_that_of_its_samples)
{
    for (size_t i = 0; i < metric_count; i++) {
        const char *names[] = {metrics[i].family, metrics[i].name};
        for (size_t j = 0; j < 2; j++) {
            json_t *one = metadata(names[j], 1);
            ck_assert_uint_eq(json_object_size(one), 1);
            ck_assert_ptr_nonnull(json_object_get(one, metrics[i].family));
            json_decref(one);
        }
    }
    json_t *none = metadata("no_such", 0);
    ck_assert_uint_eq(json_object_size(none), 0);
    json_decref(none);
}
END_TEST

START_TEST(what_is_fixed_is_as_clients_want_it)
{
    prom_write_buildinfo("1.2.3", "ab\"c", &out);
    ASSERT_WRITTEN(
        "{\"status\":\"success\",\"data\":{\"version\":\"1.2.3\",\"revision\":\"ab\\\"c\","
        "\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}}");
    buf_clear(&out);
    prom_write_empty_groups(&out);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":{\"groups\":[]}}");
    buf_clear(&out);
    prom_write_empty_alerts(&out);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":{\"alerts\":[]}}");
    buf_clear(&out);
    prom_write_empty_list(&out);
    ASSERT_WRITTEN("{\"status\":\"success\",\"data\":[]}");
}
END_TEST

// --- errors ---

static const struct {
    enum prom_error type;
    int status;
    const char *name;
} errors[] = {
    {PROM_BAD_DATA, 400, "bad_data"},   {PROM_EXECUTION, 422, "execution"},
    {PROM_TIMEOUT, 503, "timeout"},     {PROM_UNAVAILABLE, 503, "unavailable"},
    {PROM_NOT_FOUND, 404, "not_found"}, {PROM_UNAUTHORIZED, 401, "unauthorized"},
    {PROM_FORBIDDEN, 403, "forbidden"}, {PROM_INTERNAL, 500, "internal"},
};

START_TEST(errors_have_a_type_and_a_status)
{
    ck_assert_int_eq(prom_error_status(errors[_i].type), errors[_i].status);
    struct buf want = {0};
    buf_addf(&want,
             "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":\"a \\\"b\\\" \xef\xbf\xbd\"}",
             errors[_i].name);
    char *text = buf_steal(&want);
    prom_write_error(errors[_i].type, "a \"b\" \xff", &out);
    ASSERT_WRITTEN(text);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus_write");
    TCase *tc = tcase_create("prometheus_write");
    tcase_add_checked_fixture(tc, NULL, end);
    tcase_add_test(tc, values_are_written_as_go_does);
    tcase_add_loop_test(tc, values_read_back_and_no_shorter_one_would, 0, 5);
    tcase_add_loop_test(tc, times_are_seconds, 0, ARRAY_LEN(times));
    tcase_add_test(tc, a_matrix_is_series_with_values);
    tcase_add_test(tc, a_vector_is_series_with_a_value);
    tcase_add_test(tc, a_scalar_and_a_string_are_a_point);
    tcase_add_test(tc, notes_are_there_where_there_are_any);
    tcase_add_test(tc, an_answer_is_no_longer_than_allowed);
    tcase_add_test(tc, far_more_than_allowed_is_not_written_first);
    tcase_add_test(tc, names_are_a_list_and_limited);
    tcase_add_test(tc, series_are_sets_of_labels_and_limited);
    tcase_add_test(tc, metadata_has_each_family_once_as_the_table_says);
    tcase_add_test(tc, metadata_of_one_is_by_its_name_or_that_of_its_samples);
    tcase_add_test(tc, what_is_fixed_is_as_clients_want_it);
    tcase_add_loop_test(tc, errors_have_a_type_and_a_status, 0, ARRAY_LEN(errors));
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed > 0;
}
