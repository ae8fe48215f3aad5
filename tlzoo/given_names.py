"""Given names of the authors of papers, for BibTeX; family names stand with the method."""

from __future__ import annotations

__all__ = ["GIVEN_NAMES"]

_TABLE = """
Learning Transferable Features with Deep Adaptation Networks
    Mingsheng; Yue; Jianmin; Michael I.
Deep CORAL: Correlation Alignment for Deep Domain Adaptation
    Baochen; Kate
Deep Transfer Learning with Joint Adaptation Networks
    Mingsheng; Han; Jianmin; Michael I.
Deep Subdomain Adaptation Network for Image Classification
    Yongchun; Fuzhen; Jindong; Guolin; Jingwu; Jiang; Hui; Qing
Central Moment Discrepancy (CMD) for Domain-Invariant Representation Learning
    Werner; Thomas; Edwin; Thomas; Susanne
HoMM: Higher-order Moment Matching for Unsupervised Domain Adaptation
    Chao; Zhihang; Zhihong; Sheng; Zhaowei; Xinyu; Xian-Sheng
Larger Norm More Transferable: An Adaptive Feature Norm Approach for Unsupervised Domain Adaptation
    Ruijia; Guanbin; Jihan; Liang
Transferability vs. Discriminability: Batch Spectral Penalization for Adversarial Domain Adaptation
    Xinyang; Sinan; Mingsheng; Jianmin
Towards Discriminability and Diversity: Batch Nuclear-norm Maximization under Label Insufficient Situations
    Shuhao; Shuhui; Junbao; Liang; Qingming; Qi
Minimum Class Confusion for Versatile Domain Adaptation
    Ying; Ximei; Mingsheng; Jianmin
Semi-supervised Learning by Entropy Minimization
    Yves; Yoshua
Information-Theoretical Learning of Discriminative Clusters for Unsupervised Domain Adaptation
    Yuan; Fei
DeepJDOT: Deep Joint Distribution Optimal Transport for Unsupervised Domain Adaptation
    Bharath Bhushan; Benjamin; Rémi; Devis; Nicolas
Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks
    Dong-Hyun
Moment Matching for Multi-Source Domain Adaptation
    Xingchao; Qinxun; Xide; Zijun; Kate; Bo
FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence
    Kihyuk; David; Chun-Liang; Zizhao; Nicholas; Ekin D.; Alex; Han; Colin
Self-ensembling for visual domain adaptation
    Geoffrey; Michal; Mark
Domain Adaptation with Auxiliary Target Domain-Oriented Classifier
    Jian; Dapeng; Jiashi
Sliced Wasserstein Discrepancy for Unsupervised Domain Adaptation
    Chen-Yu; Tanmay; Mohammad Haris; Daniel
Return of Frustratingly Easy Domain Adaptation
    Baochen; Jiashi; Kate
Unsupervised Visual Domain Adaptation Using Subspace Alignment
    Basura; Amaury; Marc; Tinne
Concentration bounds for linear Monge mapping estimation and optimal transport domain adaptation
    Rémi; Karim; André
Revisiting Batch Normalization For Practical Domain Adaptation
    Yanghao; Naiyan; Jianping; Jiaying; Xiaodi
Do We Really Need to Access the Source Data? Source Hypothesis Transfer for Unsupervised Domain Adaptation
    Jian; Dapeng; Jiashi
Exploiting the Intrinsic Neighborhood Structure for Source-free Domain Adaptation
    Shiqi; Yaxing; Joost; Luis; Shangling
Tent: Fully Test-Time Adaptation by Entropy Minimization
    Dequan; Evan; Shaoteng; Bruno; Trevor
Efficient Test-Time Model Adaptation without Forgetting
    Shuaicheng; Jiaxiang; Yifan; Yaofo; Shijian; Peilin; Mingkui
Towards Stable Test-Time Adaptation in Dynamic Wild World
    Shuaicheng; Jiaxiang; Yifan; Zhiquan; Yaofo; Peilin; Mingkui
Continual Test-Time Domain Adaptation
    Qin; Olga; Luc; Dengxin
Test-Time Classifier Adjustment Module for Model-Agnostic Domain Generalization
    Yusuke; Yutaka
Parameter-free Online Test-time Adaptation
    Malik; Romain; Ismail; Luca
Domain-Adversarial Training of Neural Networks
    Yaroslav; Evgeniya; Hana; Pascal; Hugo; François; Mario; Victor
Conditional Adversarial Domain Adaptation
    Mingsheng; Zhangjie; Jianmin; Michael I.
Simultaneous Deep Transfer Across Domains and Tasks
    Eric; Judy; Trevor; Kate
Bridging Theory and Algorithm for Domain Adaptation
    Yuchen; Tianle; Mingsheng; Michael I.
Domain-Symmetric Networks for Adversarial Domain Adaptation
    Yabin; Hui; Kui; Mingkui
Gradually Vanishing Bridge for Adversarial Domain Adaptation
    Shuhao; Shuhui; Junbao; Chi; Qingming; Qi
Partial Adversarial Domain Adaptation
    Zhangjie; Lijia; Mingsheng; Jianmin
Importance Weighted Adversarial Nets for Partial Domain Adaptation
    Jing; Zewei; Wanqing; Philip
Open Set Domain Adaptation by Backpropagation
    Kuniaki; Shohei; Yoshitaka; Tatsuya
Semi-supervised Domain Adaptation via Minimax Entropy
    Kuniaki; Donghyun; Stan; Trevor; Kate
A DIRT-T Approach to Unsupervised Domain Adaptation
    Rui; Hung H.; Hirokazu; Stefano
Adversarial Discriminative Domain Adaptation
    Eric; Judy; Kate; Trevor
Maximum Classifier Discrepancy for Unsupervised Domain Adaptation
    Kuniaki; Kohei; Yoshitaka; Tatsuya
Wasserstein Distance Guided Representation Learning for Domain Adaptation
    Jian; Yanru; Weinan; Yong
Do Current Multi-Task Optimization Methods in Deep Learning Even Help?
    Derrick; Behrooz; Justin; Ankush; Orhan
Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics
    Alex; Yarin; Roberto
Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning
    Lukas; Cathrin; Simon; Heiner; Lukas; Jan M.
End-to-End Multi-Task Learning with Attention
    Shikun; Edward; Andrew J.
Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning
    Baijiong; Feiyang; Yu; Ivor W.
MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task Learning
    Sumanth; Ganesh; Senthil; Samir A.
Towards Impartial Multi-task Learning
    Liyang; Yi; Zhanghui; Jing-Hao; Yimin; Wenming; Qingmin; Wayne
FAMO: Fast Adaptive Multitask Optimization
    Bo; Yihao; Peter; Qiang
Smooth Tchebycheff Scalarization for Multi-Objective Optimization
    Xi; Xiaoyuan; Zhiyuan; Fei; Zhenkun; Qingfu
GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks
    Zhao; Vijay; Chen-Yu; Andrew
Multi-Task Learning as Multi-Objective Optimization
    Ozan; Vladlen
Gradient Surgery for Multi-Task Learning
    Tianhe; Saurabh; Abhishek; Sergey; Karol; Chelsea
Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual Models
    Zirui; Yulia; Orhan; Yuan
Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout
    Zhao; Jiquan; Yanping; Thang; Henrik; Yuning; Dragomir
Conflict-Averse Gradient Descent for Multi-task Learning
    Bo; Xingchao; Xiaojie; Peter; Qiang
Multi-Task Learning as a Bargaining Game
    Aviv; Aviv; Idan; Haggai; Kenji; Gal; Ethan
Independent Component Alignment for Multi-Task Learning
    Dmitry; Nikolay; Arseny; Anton
ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks
    Qiang; Mengyu; Nils
Jacobian Descent for Multi-Objective Optimization
    Pierre; Valérian
Gradient Episodic Memory for Continual Learning
    David; Marc'Aurelio
Fair Resource Allocation in Multi-Task Learning
    Hao; Kaiyi
Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms
    Peiyao; Hao; Kaiyi
Robust Multi-Task Learning with Excess Risks
    Yifei; Shiji; Guojun; Hyokun; Yi; Belinda; Trishul; Han
Dual-Balancing for Multi-Task Learning
    Baijiong; Weisen; Feiyang; Yu; Pengguang; Ying-Cong; Shu; James T.
Prototypical Networks for Few-shot Learning
    Jake; Kevin; Richard
SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning
    Yan; Wei-Lun; Kilian Q.; Laurens
Matching Networks for One Shot Learning
    Oriol; Charles; Timothy; Koray; Daan
Learning to Compare: Relation Network for Few-Shot Learning
    Flood; Yongxin; Li; Tao; Philip H. S.; Timothy M.
Siamese Neural Networks for One-shot Image Recognition
    Gregory; Richard; Ruslan
Meta-learning with differentiable closed-form solvers
    Luca; João F.; Philip H. S.; Andrea
Meta-Learning with Differentiable Convex Optimization
    Kwonjoon; Subhransu; Avinash; Stefano
Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions
    Han-Jia; Hexiang; De-Chuan; Fei
A Closer Look at Few-shot Classification
    Wei-Yu; Yen-Cheng; Zsolt; Yu-Chiang Frank; Jia-Bin
Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?
    Yonglong; Yue; Dilip; Joshua B.; Phillip
A Baseline for Few-Shot Image Classification
    Guneet S.; Pratik; Avinash; Stefano
Prototype Rectification for Few-Shot Learning
    Jinlu; Liang; Yongqiang
Laplacian Regularized Few-Shot Learning
    Imtiaz Masud; Jose; Eric; Ismail
Learning to Propagate Labels: Transductive Propagation Network for Few-shot Learning
    Yanbin; Juho; Minseop; Saehoon; Eunho; Sung Ju; Yi
Transductive Information Maximization For Few-Shot Learning
    Malik; Ziko Imtiaz; Jérôme; José; Pablo; Ismail
Realistic Evaluation of Transductive Few-Shot Learning
    Olivier; Malik; Pablo; Ismail
Leveraging the Feature Distribution in Transfer-based Few-Shot Learning
    Yuqing; Vincent; Stéphane
Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks
    Chelsea; Pieter; Sergey
Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML
    Aniruddh; Maithra; Samy; Oriol
Meta-SGD: Learning to Learn Quickly for Few-Shot Learning
    Zhenguo; Fengwei; Fei; Hang
On First-Order Meta-Learning Algorithms
    Alex; Joshua; John
Efficient Few-Shot Learning Without Prompts
    Lewis; Nils; Unso Eun Seo; Luke; Daniel; Moshe; Oren
An Embarrassingly Simple Approach to Zero-shot Learning
    Bernardino; Philip H. S.
Semantic Autoencoder for Zero-Shot Learning
    Elyor; Tao; Shaogang
Attribute-Based Classification for Zero-Shot Visual Object Categorization
    Christoph H.; Hannes; Stefan
Zero-Shot Learning by Convex Combination of Semantic Embeddings
    Mohammad; Tomas; Samy; Yoram; Jonathon; Andrea; Greg S.; Jeffrey
DeViSE: A Deep Visual-Semantic Embedding Model
    Andrea; Greg S.; Jonathon; Samy; Jeffrey; Marc'Aurelio; Tomas
Evaluation of Output Embeddings for Fine-Grained Image Classification
    Zeynep; Scott; Daniel; Honglak; Bernt
Label-Embedding for Image Classification
    Zeynep; Florent; Zaid; Cordelia
Latent Embeddings for Zero-shot Classification
    Yongqin; Zeynep; Gaurav; Quynh; Matthias; Bernt
Learning Transferable Visual Models From Natural Language Supervision
    Alec; Jong Wook; Chris; Aditya; Gabriel; Sandhini; Girish; Amanda; Pamela; Jack; Gretchen; Ilya
A Generative Model for Zero Shot Learning Using Conditional Variational Autoencoders
    Ashish; Shiva; Anurag; Hema A.
Benchmarking Zero-shot Text Classification: Datasets, Evaluation and Entailment Approach
    Wenpeng; Jamaal; Dan
Word Translation Without Parallel Data
    Alexis; Guillaume; Marc'Aurelio; Ludovic; Hervé
Offline Bilingual Word Vectors, Orthogonal Transformations and the Inverted Softmax
    Samuel L.; David H. P.; Steven; Nils Y.
Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure
    Marco; Patrice; Christine
An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object Recognition in the Wild
    Wei-Lun; Soravit; Boqing; Fei
Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification
    Renrui; Wei; Rongyao; Peng; Kunchang; Jifeng; Yu; Hongsheng
Universal Language Model Fine-tuning for Text Classification
    Jeremy; Sebastian
Explicit Inductive Bias for Transfer Learning with Convolutional Networks
    Xuhong; Yves; Franck
LoRA: Low-Rank Adaptation of Large Language Models
    Edward J.; Yelong; Phillip; Zeyuan; Yuanzhi; Shean; Lu; Weizhu
"""

_LINES = _TABLE.strip().splitlines()

GIVEN_NAMES: dict[str, tuple[str, ...]] = {
    title: tuple(names.strip().split("; ")) for title, names in zip(_LINES[::2], _LINES[1::2], strict=True)
}
"""Title of a paper -> given names of its authors, in order."""
