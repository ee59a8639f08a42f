use super::*;
use crate::policy::{LoadMetric, Mode, Workload, WorkloadKind};
use crate::series::Series;
use crate::units::{LeadTime, Step};
use proptest::prelude::*;

fn policy(metrics: usize) -> Policy {
    let metric = LoadMetric {
        source: "prom".into(),
        query: "load".into(),
        capacity_per_replica: 10.0,
        tenant: None,
        learned: None,
    };
    Policy {
        mode: Mode::Act,
        metrics: vec![metric; metrics],
        min_replicas: 1,
        max_replicas: 50,
        lead_time: LeadTime(Duration::from_secs(180)),
        unserved_budget: 0.001,
        miss_cost: None,
        time_zone: "UTC".into(),
        schedules: vec![],
        occasions: Vec::new(),
        hold: None,
        pods_per_second: None,
        slots: None,
    }
}

fn look(replicas: u32) -> Observation {
    Observation {
        at: Time::from_secs(0),
        replicas,
        ready: replicas,
        autoscaled: false,
        floor: None,
        rollout: false,
        blocked: None,
        stopped: false,
        unhealthy: false,
        room: None,
    }
}

fn wave(minutes: usize) -> Series {
    let load = |i: usize| 150.0 + 100.0 * (i as f64 / 1440.0 * std::f64::consts::TAU).sin();
    Series::of(Time::from_secs(0), Step::MINUTE, (0..minutes).map(|i| Sample::Valid(load(i))))
}

fn given(sample: Sample, replicas: u32) -> Inputs {
    Inputs {
        metrics: vec![MetricInputs {
            samples: vec![sample],
            source: SourceState::Fresh,
            capacity_per_replica: 10.0,
            settling: Duration::ZERO,
            reading: None,
        }],
        observation: look(replicas),
    }
}

fn minute(i: usize) -> Time {
    Time::from_secs(60 * i as i64)
}

#[test]
fn zeros_at_the_peak_hold_what_is_there() {
    let policy = policy(1);
    let mut memory = Memory::new(vec![MetricMemory::learn(&wave(1800), &policy, 10.0)]);
    let mut replicas = 30;
    for i in 0..10 {
        replicas = tick(minute(1800 + i), &policy, &given(Sample::Valid(250.0), replicas), &mut memory).plan.replicas;
    }
    let before = replicas;
    assert!(before >= 25);
    for i in 10..50 {
        let decision = tick(minute(1800 + i), &policy, &given(Sample::Valid(0.0), replicas), &mut memory);
        assert_eq!(decision.evidence.standing, Standing::Stale, "minute {i}");
        assert!(decision.plan.replicas >= before, "minute {i}");
        replicas = decision.plan.replicas;
    }
}

/// Memory of three days, an hour in which replicas are broken or not and the load is `times` the usual, and a day after.
fn after_an_hour_of(times: f64, unhealthy: bool) -> (Memory, Vec<Decision>) {
    let policy = policy(1);
    let wave = wave(4 * 1440 + 60);
    let known = Series::of(wave.at(0), Step::MINUTE, wave.iter().take(3 * 1440).map(|(_, s)| s));
    let mut memory = Memory::new(vec![MetricMemory::learn(&known, &policy, 10.0)]);
    let (mut replicas, mut hour) = (25, Vec::new());
    for i in 3 * 1440..4 * 1440 {
        let storm = (3 * 1440 + 400..3 * 1440 + 460).contains(&i);
        let sample = wave.get(i).map(|load| if storm { load * times } else { load });
        let mut inputs = given(sample, replicas);
        inputs.observation.unhealthy = unhealthy && storm;
        let decision = tick(minute(i), &policy, &inputs, &mut memory);
        replicas = decision.plan.replicas;
        hour.extend(storm.then_some(decision));
    }
    (memory, hour)
}

#[test]
fn what_broken_replicas_are_sent_is_served_and_teaches_nothing() {
    let expected = |unhealthy| {
        let (mut memory, hour) = after_an_hour_of(1.6, unhealthy);
        let need = hour.last().and_then(|d| d.evidence.parts.reactive);
        assert!(hour.last().map(|d| d.plan.replicas) >= need && need > Some(30), "it is planned for: {need:?}");
        let policy = policy(1);
        let wave = wave(4 * 1440 + 460);
        let mut last = None;
        for i in 4 * 1440..4 * 1440 + 400 {
            last = Some(tick(minute(i), &policy, &given(wave.get(i), 25), &mut memory));
        }
        let forecast = last.and_then(|d| d.forecasts[0].clone()).unwrap();
        forecast.window(15).unwrap().highest()
    };
    let (storm, crowd) = (expected(true), expected(false));
    assert!(storm < 0.95 * crowd, "{storm} is expected after a storm, {crowd} after a crowd");
}

#[test]
fn what_is_declared_to_come_is_planned_for_and_what_is_excluded_is_not_expected_again() {
    // the fourth day from 10:00 to 12:00: four times as much, said or not, or to be left out
    let declared = |text: &str| {
        let mut policy = policy(1);
        policy.max_replicas = 500;
        policy.occasions = if text.is_empty() { Vec::new() } else { crate::occasion::parse(text, None).unwrap() };
        let there = |i: usize| (3 * 1440 + 600..3 * 1440 + 720).contains(&i);
        let load = |i: usize| if there(i) { 400.0 } else { 100.0 };
        let known = Series::of(Time::from_secs(0), Step::MINUTE, (0..3 * 1440).map(|i| Sample::Valid(load(i))));
        let mut memory = Memory::new(vec![MetricMemory::learn(&known, &policy, 10.0)]);
        let mut plans = Vec::new();
        for i in 3 * 1440..5 * 1440 {
            let replicas = plans.last().copied().unwrap_or(10);
            let decision = tick(minute(i), &policy, &given(Sample::Valid(load(i)), replicas), &mut memory);
            assert!(f64::from(decision.plan.replicas) >= load(i) / 10.0, "minute {i}");
            plans.push(decision.plan.replicas);
        }
        [plans[598], plans[1440 + 640]]
    };
    let [before, next_day] = declared("");
    assert!(before < 20 && next_day >= 30, "nobody knows, and it is expected again: {before}, {next_day}");
    let [before, _] = declared("1970-01-04T10:00/1970-01-04T12:00 x4");
    assert!(before >= 38, "ready when it begins: {before}");
    let [_, next_day] = declared("1970-01-04T10:00/1970-01-04T12:00 exclude");
    assert!(next_day < 20, "no lesson: {next_day}");
}

#[test]
fn while_replicas_are_broken_and_an_hour_after_nothing_is_lowered() {
    let least = |hour: &[Decision]| hour.iter().map(|d| d.plan.replicas).min().unwrap();
    let (_, broken) = after_an_hour_of(0.8, true);
    assert_eq!(least(&broken), broken[0].plan.replicas);
    assert!(broken.iter().all(|d| d.evidence.outage));
    let (_, well) = after_an_hour_of(0.8, false);
    assert!(least(&well) < well[0].plan.replicas, "the same load of replicas that are well");
}

#[test]
fn a_failing_source_is_stale_at_once_and_never_zero() {
    let policy = policy(1);
    let mut memory = Memory::new(vec![MetricMemory::learn(&wave(400), &policy, 10.0)]);
    let mut inputs = given(Sample::Missing, 20);
    inputs.metrics[0].samples.clear();
    inputs.metrics[0].source = SourceState::Failing { error: "503".into() };
    let decision = tick(minute(401), &policy, &inputs, &mut memory);
    assert_eq!((decision.evidence.standing, decision.evidence.parts.reactive), (Standing::Stale, None));
    assert!(decision.plan.replicas >= 20);
}

#[test]
fn a_log_replays_to_the_same_bytes_and_the_first_difference_is_named() {
    let policy = policy(1);
    let workload = Workload { namespace: "shop".into(), name: "web".into(), kind: WorkloadKind::Deployment };
    let history = wave(300);
    let mut memory = Memory::new(vec![MetricMemory::learn(&history, &policy, 10.0)]);
    let mut lines = vec![
        Record::Start {
            workload: workload.clone(),
            build: "0.1.0".into(),
            policy: policy.clone(),
            metrics: vec![(history, 10.0)],
            continued: false,
        }
        .to_line(),
    ];
    let mut replicas = 30;
    for i in 300..340 {
        let inputs = given(Sample::Valid(170.0 + i as f64 / 7.0), replicas);
        let decision = tick(minute(i), &policy, &inputs, &mut memory);
        replicas = decision.plan.replicas;
        lines.push(Record::Tick { workload: workload.clone(), now: minute(i), inputs, decision }.to_line());
    }
    let mut replay = Replay::default();
    for line in &lines {
        replay.line(line).unwrap();
    }
    assert_eq!(replay.same, 40);

    let at = lines[20].rfind("\"replicas\":").unwrap() + 11;
    lines[20].insert(at, '9');
    let mut replay = Replay::default();
    let error = lines.iter().find_map(|line| replay.line(line).err()).unwrap().to_string();
    assert!(error.starts_with("line 21, shop/web at 1970-01-01T05:19:00Z: decision.plan.replicas was 9"), "{error}");
    assert!(matches!(Replay::default().line(&lines[1]), Err(ReplayError::NoStart(1, _))));
    assert!(matches!(Replay::default().line("{}"), Err(ReplayError::Unreadable(1, _))));
}

#[test]
fn a_schedule_alone_raises_one_lead_ahead_and_lets_go_in_steps() {
    let mut policy = policy(0);
    policy.schedules = vec!["30 1 * * * 1h UTC min=20".parse().unwrap(), "0 4 * * * 1h UTC max=3".parse().unwrap()];
    let mut memory = Memory::new(vec![]);
    let mut observation = look(1);
    observation.autoscaled = true;
    let inputs = Inputs { metrics: vec![], observation };
    let floors: Vec<u32> = (0..300).map(|i| tick(minute(i), &policy, &inputs, &mut memory).plan.replicas).collect();
    assert!(floors[..86].iter().all(|r| *r == 1), "{floors:?}");
    assert!(floors[87..150].iter().all(|r| *r == 20), "one lead before 01:30 until 02:30: {floors:?}");
    assert!(floors[150] > 1 && floors[180..240].iter().all(|r| *r == 1), "in steps: {floors:?}");
    observation_at_ceiling(&policy);
}

fn observation_at_ceiling(policy: &Policy) {
    let mut memory = Memory::new(vec![]);
    let mut observation = look(9);
    observation.autoscaled = true;
    observation.floor = Some(9);
    let plan = tick(minute(250), policy, &Inputs { metrics: vec![], observation }, &mut memory).plan;
    assert_eq!((plan.replicas, plan.reason), (3, Reason::MaxReplicas));
}

#[test]
fn an_operators_hold_binds_at_once_and_ends_by_itself() {
    let mut policy = policy(0);
    policy.hold = Some(crate::policy::Hold { at_least: 30, until: minute(60) });
    let mut memory = Memory::new(vec![]);
    let mut observation = look(1);
    observation.autoscaled = true;
    let inputs = Inputs { metrics: vec![], observation };
    let plans: Vec<_> = (0..120).map(|i| tick(minute(i), &policy, &inputs, &mut memory).plan).collect();
    assert!(plans[..60].iter().all(|p| p.replicas == 30 && p.reason == Reason::HoldOperator), "{:?}", plans[0]);
    assert!(plans[60].replicas > 1 && plans[119].replicas == 1, "in steps");
}

#[test]
fn a_relative_window_multiplies_what_the_load_to_come_needs() {
    let mut policy = policy(1);
    policy.schedules = vec!["0 0 2 1 * 1h UTC x1.5".parse().unwrap()];
    let (history, mut memory) = (wave(1430), None);
    let plain: Vec<u32> = [false, true]
        .iter()
        .map(|scheduled| {
            let policy =
                Policy { schedules: if *scheduled { policy.schedules.clone() } else { vec![] }, ..policy.clone() };
            let memory = memory.insert(Memory::new(vec![MetricMemory::learn(&history, &policy, 10.0)]));
            let decision = tick(minute(1445), &policy, &given(Sample::Valid(150.0), 20), memory);
            let needed = decision.evidence.parts.forecast.max(decision.evidence.parts.reactive).unwrap();
            assert_eq!(decision.evidence.parts.schedule, scheduled.then_some((f64::from(needed) * 1.5).ceil() as u32));
            decision.plan.replicas
        })
        .collect();
    assert!(plain[1] > plain[0], "{plain:?}");
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        5 => 0.0..500.0f64,
        1 => prop_oneof![Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(1e30), Just(f64::MAX)],
    ]
}

fn any_sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        6 => any_float().prop_map(Sample::Valid),
        1 => Just(Sample::Missing),
        1 => any_float().prop_map(Sample::Suspect),
        1 => any_float().prop_map(Sample::Censored),
        1 => any_float().prop_map(Sample::Event),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_input_gives_a_plan_within_bounds_and_never_falls_on_garbage(
        ticks in prop::collection::vec((prop::collection::vec(any_sample(), 0..4), 0..4u8, any_float(), -100..300i64), 1..60),
        metrics in 0..3usize,
        min in 0..200_000u32,
        max in 0..200_000u32,
        autoscaled in any::<bool>(),
        lead in prop_oneof![0..1000u64, Just(u64::MAX / 1000)],
    ) {
        let mut policy = policy(metrics);
        (policy.min_replicas, policy.max_replicas) = (min.min(max), max);
        policy.lead_time = LeadTime(Duration::from_secs(lead));
        let empty = Series::new(Time::from_secs(0), Step::MINUTE, 1);
        let mut memory = Memory::new((0..metrics).map(|_| MetricMemory::learn(&empty, &policy, 10.0)).collect());
        let (mut now, mut replicas) = (Time::from_secs(0), 5);
        for (samples, source, capacity, seconds) in ticks {
            now = Time::from_secs(now.secs() + seconds);
            let source = match source {
                0 => SourceState::Stale,
                1 => SourceState::Failing { error: "x".into() },
                _ => SourceState::Fresh,
            };
            let one = MetricInputs { samples, source: source.clone(), capacity_per_replica: capacity, settling: Duration::ZERO, reading: None };
            let mut observation = look(replicas);
            observation.autoscaled = autoscaled;
            let before = memory.plan.last();
            let decision = tick(now, &policy, &Inputs { metrics: vec![one; metrics], observation }, &mut memory);
            let bound = max.min(MAX_REPLICAS);
            prop_assert!(decision.plan.replicas <= bound && decision.plan.replicas >= min.min(max).min(bound));
            if metrics > 0 && source != SourceState::Fresh && !autoscaled {
                prop_assert!(decision.plan.replicas >= before.unwrap_or(0).min(bound));
            }
            for forecast in decision.forecasts.iter().flatten() {
                prop_assert!(forecast.windows.iter().all(|w| w.values.iter().all(|v| v.is_finite())));
            }
            replicas = decision.plan.replicas;
        }
    }
}

#[test]
fn a_schedule_of_a_thousand_begins_earlier_by_the_time_that_creating_them_takes() {
    let window = |min: u32| crate::policy::schedule::parse(&format!("0 8 * * * 10h UTC min={min}")).unwrap();
    let begins = |min: u32, pods_per_second| {
        let policy = Policy { schedules: window(min), max_replicas: 2000, pods_per_second, ..policy(1) };
        // seconds before eight at which the floor begins: the lead is 180 s
        (0..900).rev().find(|early| scheduled(Time::from_secs(8 * 3600 - early), &policy, 10).is_some())
    };
    assert_eq!(begins(1010, None), Some(180));
    assert_eq!(begins(1010, Some(20.0)), Some(230), "1,000 at 20 a second: 50 s");
    assert_eq!(begins(20, Some(20.0)), Some(180), "ten: half a second");
    assert_eq!(begins(1010, Some(2.0)), Some(680), "500 s");
}

#[test]
fn a_forecast_asks_for_no_more_than_can_be_created_until_the_next_decision() {
    let policy = Policy { max_replicas: 2000, pods_per_second: Some(0.5), ..policy(1) };
    let loads = |i: usize| if i % 1440 < 720 { 100.0 } else { 3000.0 };
    let history = Series::of(Time::from_secs(0), Step::MINUTE, (0..2 * 1440).map(|i| Sample::Valid(loads(i))));
    let mut memory = Memory::new(vec![MetricMemory::learn(&history, &policy, 10.0)]);
    let (mut replicas, mut limited) = (20, 0);
    for i in 0..730 {
        let decision = tick(minute(2 * 1440 + i), &policy, &given(Sample::Valid(loads(i)), replicas), &mut memory);
        let forecast = decision.evidence.parts.forecast.unwrap();
        assert!(forecast <= replicas + 30, "minute {i}: {forecast} from {replicas}");
        limited += u32::from(forecast == replicas + 30);
        replicas = decision.plan.replicas;
    }
    assert!(limited > 0, "the limit was never met");
}

#[test]
fn a_reading_between_the_steps_raises_at_once_and_lowers_nothing() {
    let policy = Policy { max_replicas: 200, ..policy(1) };
    let mut memory = Memory::new(vec![MetricMemory::learn(&wave(1800), &policy, 10.0)]);
    let before = tick(minute(1800), &policy, &given(Sample::Valid(250.0), 30), &mut memory).plan.replicas;
    let mut between = given(Sample::Missing, before);
    between.metrics[0].samples.clear();
    let mut read = |load, rise| {
        between.metrics[0].reading = Some(Reading { load, rise });
        let decision = tick(minute(1800) + Duration::from_secs(5), &policy, &between, &mut memory);
        (decision.plan.replicas, decision.evidence.parts.reactive)
    };
    assert_eq!(read(10.0, 0.0), (before, Some(25)), "less than the sample of a moment ago: the larger counts");
    assert_eq!(read(10.0, 200.0), (before, Some(25)), "what outruns nothing is not extrapolated");
    assert_eq!(read(470.0, 0.0), (47, Some(47)), "within seconds");
    assert_eq!(read(500.0, 30.0), (53, Some(50)), "and what it will be at the next reading");
    assert_eq!(read(540.0, 900.0), (108, Some(54)), "at most twice");
    assert_eq!(read(f64::NAN, 0.0), (108, Some(25)), "no load; what was read is held as any need is");
    assert_eq!(memory.metrics[0].taken(), 1801, "it teaches nothing");
}

#[test]
fn a_sum_of_what_each_pod_has_is_not_chased_to_the_upper_bound() {
    let policy = Policy { max_replicas: 1000, ..policy(1) };
    let history = Series::of(Time::from_secs(0), Step::MINUTE, (0..300).map(|_| Sample::Valid(30.0)));
    let mut memory = Memory::new(vec![MetricMemory::learn(&history, &policy, 10.0)]);
    // every pod has 15, and its limit is 10: more pods are more load
    let (mut replicas, mut reasons) = (3, Vec::new());
    for i in 0..120 {
        let inputs = given(Sample::Valid(15.0 * f64::from(replicas)), replicas);
        let plan = tick(minute(300 + i), &policy, &inputs, &mut memory).plan;
        replicas = plan.replicas;
        reasons.push(plan.reason);
    }
    assert!(replicas < 100 && reasons[60..].iter().all(|r| *r == Reason::NoGain), "{replicas}: {reasons:?}");
}
